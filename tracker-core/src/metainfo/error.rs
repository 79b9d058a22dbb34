//! What can be wrong with a .torrent, and where.

use super::{MAX_FILES, MAX_NAME_LEN, MAX_PATH_DEPTH, MAX_PATH_LEN, MAX_PIECE_LENGTH};
use crate::bencode;

/// Why a file isn't taken as a .torrent; the text is fit for the member who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not bencode, or too much of it.
    #[error(transparent)]
    Bencode(#[from] bencode::Error),
    /// Bencode, but no dictionary.
    #[error("this is not a .torrent file: it is not a dictionary")]
    NotATorrent,
    /// One field is wrong.
    #[error("the .torrent's `{field}` {problem}")]
    Field {
        /// From the outermost dictionary inwards: `info.files[2].length`. Of a v2 file, its path: `info.file tree/a/b`.
        field: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("is missing")]
    Missing,
    #[error("is not {0}")]
    IsNot(&'static str),
    #[error("is negative")]
    Negative,
    #[error("is version {0}, and only 1 and 2 are known")]
    UnknownVersion(i64),
    #[error("must be between 1 and {MAX_PIECE_LENGTH}")]
    PieceLength,
    #[error("must be a power of two and at least 16384 in a v2 torrent")]
    PieceLengthV2,
    #[error("has {found} bytes where {expected} are due, 20 for every piece")]
    WrongPieces { found: u64, expected: u64 },
    #[error("can't be there together with `files`")]
    BesideFiles,
    #[error("adds up to more bytes than a 64-bit number can hold")]
    TooLarge,
    #[error("holds no content")]
    NoContent,
    #[error("has more than {MAX_FILES} files")]
    TooManyFiles,
    #[error("is empty")]
    EmptyName,
    #[error("is longer than {MAX_NAME_LEN} bytes")]
    NameTooLong,
    #[error("has the name {0:?}, which could lead out of the download folder")]
    UnsafeName(String),
    #[error("is a path of more than {MAX_PATH_DEPTH} names")]
    PathTooDeep,
    #[error("is a path of more than {MAX_PATH_LEN} bytes")]
    PathTooLong,
    #[error("has paths of more than {} bytes in all", bencode::MAX_LEN)]
    PathsTooLong,
    #[error("is a file and a folder at once")]
    FileAndFolder,
    #[error("is not a hash of 32 bytes")]
    NotAPiecesRoot,
    #[error("begins in the middle of a piece, which a hybrid's files can't")]
    Unaligned,
    #[error("has other files than `files`, though both halves of a hybrid must be the same")]
    HybridDisagrees,
}

impl Problem {
    pub(super) fn at(self, field: impl Into<String>) -> Error {
        Error::Field {
            field: field.into(),
            problem: self,
        }
    }
}

/// A problem with the very value that the caller is about to name with `Error::within`.
impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        problem.at("")
    }
}

impl Error {
    /// The same error, seen from the outside of `outer`.
    pub(super) fn within(self, outer: &str) -> Self {
        match self {
            Self::Field { field, problem } => {
                let dot = if field.is_empty() || field.starts_with(['[', '/']) {
                    ""
                } else {
                    "."
                };
                problem.at(format!("{outer}{dot}{field}"))
            }
            other => other,
        }
    }
}
