//! What wasn't as it should be, and what was done about it: a line each, for the log.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{JournalId, Position};

/// Damaged stretches named one by one; of more, the rest is counted.
const STRETCHES_SHOWN: usize = 4;

/// Something found on opening. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A crash cut a write short. Nothing that was whole is gone.
    TornTail {
        /// Which segment.
        file: PathBuf,
        /// What was cut off.
        bytes: Range<u64>,
    },
    /// A write failed, and couldn't be cut off then.
    FailedWrite {
        /// Which segment.
        file: PathBuf,
        /// What was cut off.
        bytes: Range<u64>,
    },
    /// Bytes of a segment can't be read. What could be read around them was taken.
    Damaged {
        /// Which segment.
        file: PathBuf,
        /// Which bytes.
        bytes: Vec<Range<u64>>,
        /// The file as it was.
        kept: PathBuf,
    },
    /// No record in a segment can be read.
    Unreadable {
        /// Which segment.
        file: PathBuf,
        /// Where it is now.
        kept: PathBuf,
    },
    /// A segment of another journal.
    Foreign {
        /// Which file.
        file: PathBuf,
        /// Whose it is.
        id: JournalId,
        /// Where it is now.
        kept: PathBuf,
    },
    /// Records are missing that the database doesn't have.
    Hole {
        /// The first one missing.
        first: Position,
        /// The last one missing.
        last: Position,
    },
    /// The journal begins later than the database ends: it may come from an old backup.
    BeginsLate {
        /// How far the database has come.
        applied: Position,
        /// Where the journal begins.
        first: Position,
    },
    /// The database has more than the journal: it syncs what it commits, and a power cut may cost the journal the last
    /// second.
    AppliedAhead {
        /// How far the database has come.
        applied: Position,
        /// Where the journal ends.
        last: Position,
    },
}

impl Finding {
    /// Whether records may be lost, or something is to be looked at. A crash or a power cut alone is nothing serious.
    pub fn is_serious(&self) -> bool {
        !matches!(
            self,
            Self::TornTail { .. } | Self::FailedWrite { .. } | Self::AppliedAhead { .. }
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { file, bytes } => write!(
                f,
                "{}: bytes {} are a write that a crash cut short; cut off",
                file.display(),
                Bytes(bytes)
            ),
            Self::FailedWrite { file, bytes } => write!(
                f,
                "{}: bytes {} are a write that failed, and was made again in the next file; cut off",
                file.display(),
                Bytes(bytes)
            ),
            Self::Damaged { file, bytes, kept } => {
                write!(f, "{}: bytes ", file.display())?;
                for (at, stretch) in bytes.iter().take(STRETCHES_SHOWN).enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", Bytes(stretch))?;
                }
                if let Some(more @ 1..) = bytes.len().checked_sub(STRETCHES_SHOWN) {
                    write!(f, " and {more} more stretches")?;
                }
                write!(
                    f,
                    " are damaged; the records around them were taken, and the file as it was is kept as {}",
                    name(kept)
                )
            }
            Self::Unreadable { file, kept } => write!(
                f,
                "{}: no record in it can be read; kept as {}",
                file.display(),
                name(kept)
            ),
            Self::Foreign { file, id, kept } => write!(
                f,
                "{}: belongs to another journal, whose journal.id begins with {id}; not read, and kept as {}",
                file.display(),
                name(kept)
            ),
            Self::Hole { first, last } if first == last => {
                write!(
                    f,
                    "the announce at position {first} is lost: the journal has it no more, and the database doesn't have \
                     it; sessions that go on make up for it"
                )
            }
            Self::Hole { first, last } => write!(
                f,
                "the {} announces at positions {first} to {last} are lost: the journal has them no more, and the \
                 database doesn't have them; sessions that go on make up for it",
                last.0 - first.0 + 1
            ),
            Self::BeginsLate { applied, first } => write!(
                f,
                "the database has the announces up to position {applied}, and the journal begins at {first}: those \
                 between are lost, unless a newer backup of the database has them; sessions that go on make up for it"
            ),
            Self::AppliedAhead { applied, last } => write!(
                f,
                "the database has the announces up to position {applied}, and the journal ends at {last}, as after a \
                 power cut; nothing is missing"
            ),
        }
    }
}

/// First and last, both included, as a person counts.
struct Bytes<'a>(&'a Range<u64>);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.0.start, self.0.end.saturating_sub(1))
    }
}

/// It lies beside the file that the line begins with.
fn name(path: &Path) -> impl fmt::Display {
    path.file_name().unwrap_or_default().display()
}
