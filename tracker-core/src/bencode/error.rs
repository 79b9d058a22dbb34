//! What can be wrong with bencode, and where.

use super::{MAX_DEPTH, MAX_LEN};

/// The input isn't bencode, or more of it than we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid bencode at byte {at}: {problem}")]
pub struct Error {
    /// Bytes from the start of the input.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with bencode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("it ends in the middle of a value")]
    CutShort,
    #[error("something follows the end of the value")]
    TrailingBytes,
    #[error("a value can't begin or go on with {:?}", char::from(*.0))]
    UnexpectedByte(u8),
    #[error("a number has no digits")]
    NoDigits,
    #[error("a number is written as -0 or with leading zeros")]
    NotCanonical,
    #[error("a number doesn't fit in 64 bits")]
    NumberTooBig,
    #[error("a dictionary key isn't a string")]
    KeyNotString,
    #[error("a dictionary key has no value")]
    KeyWithoutValue,
    #[error("a dictionary has the same key twice")]
    DuplicateKey,
}
