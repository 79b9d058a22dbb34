//! One try to apply one batch.

use std::time::Duration;

use store::{Applied, Batch, Care, Store};
use tokio::time::{Instant, timeout};

use super::FlushError;

/// A transaction that takes longer is given up, and half of it is tried: the mark tells if it had gone through.
pub(super) const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// What came of one batch.
pub(super) struct Outcome {
    pub(super) applied: Result<Applied, FlushError>,
    /// A hint was wrong, or a row wasn't there: everything had to be looked up.
    pub(super) was_stale: bool,
    pub(super) took: Duration,
}

/// Once trusting the hints; a wrong one is found out, and then once more, carefully. So is what is refused for its
/// content: what belongs to nobody is set aside by itself then.
pub(super) async fn apply(store: &Store, batch: &Batch) -> Outcome {
    let begun = Instant::now();
    let mut care = Care::Trusting;
    let applied = loop {
        match timeout(APPLY_LIMIT, store.apply(batch, care)).await {
            Ok(Err(error))
                if care == Care::Trusting && !error.is_unclear() && !error.is_moved() =>
            {
                care = Care::Careful;
            }
            Ok(answer) => break answer.map_err(FlushError::from),
            Err(_) => break Err(FlushError::Silent),
        }
    };
    Outcome {
        applied,
        was_stale: care == Care::Careful,
        took: begun.elapsed(),
    }
}
