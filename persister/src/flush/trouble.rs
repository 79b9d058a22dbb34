//! What is said of a database in trouble, and how long it is left alone.

use std::time::Duration;

use tokio::time::Instant;

use super::FlushError;

/// Pauses after failures double from a flush interval up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How often a trouble that lasts is told again.
const REMINDER_PERIOD: Duration = Duration::from_secs(300);

/// A database in trouble is told of when it begins, when its words change, and now and then.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) failures: u32,
    words: String,
    told_at: Option<Instant>,
}

impl Trouble {
    pub(super) fn tell(&mut self, error: &FlushError) {
        self.failures += 1;
        let words = error.to_string();
        let is_old = self
            .told_at
            .is_some_and(|at| at.elapsed() < REMINDER_PERIOD);
        if is_old && words == self.words {
            return;
        }
        tracing::warn!(
            failures = self.failures,
            error = words,
            "a batch couldn't be applied, trying on"
        );
        (self.words, self.told_at) = (words, Some(Instant::now()));
    }

    pub(super) fn is_over(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the database takes batches again");
            *self = Self::default();
        }
    }
}

pub(super) fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(16));
    doubled.min(BACKOFF_MAX.max(interval))
}
