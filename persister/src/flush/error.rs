//! Why something isn't in the database, and how much.

use store::StoreError;

use super::attempt::APPLY_LIMIT;
use crate::journal::ReadError;

/// Why the journal isn't in the database yet.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// What the database said.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It said nothing.
    #[error("the database didn't answer for {} s", APPLY_LIMIT.as_secs())]
    Silent,
    /// What the disk said, or that the journal isn't what was written.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// Somebody else moves our mark: to go on would lose what is in our journal.
    #[error(
        "another process brings a journal of the same name into the database: is data_dir a copy of another tracker's? \
         Give each a data_dir of its own; the journal here stays where it is"
    )]
    Foreign,
}

/// What the database doesn't have at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Records that the next start brings in.
    pub records: u64,
}

impl FlushError {
    /// Nothing that waiting would mend: the program has to end, and to start again.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Foreign | Self::Journal(ReadError::Damaged { .. })
        )
    }
}
