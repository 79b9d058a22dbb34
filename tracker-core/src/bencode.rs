//! Bencode (BEP 3): the format of replies and of .torrent files.
//!
//! [`parse`] checks a whole input once, in one pass and without recursion; after that a [`Value`] only borrows from it:
//! nothing is copied, and [`Value::raw`] gives the bytes that an info hash is taken over. The `put_…` functions write
//! straight into the caller's buffer, which on the announce path is reused from reply to reply.
//!
//! Two things that the reader lets pass or refuses on purpose: dictionaries out of order are read (the info hash is
//! over the bytes as they are, and such torrents exist), while a key that occurs twice is refused (two programs could
//! read two different torrents in it).

mod error;
mod lexer;
mod read;
mod value;
mod write;

pub use error::{Error, Problem};
pub use read::parse;
pub use value::{Dict, Step, Value};
pub use write::{begin_dict, begin_list, end, put_bytes, put_int};

/// The longest input we read. libtorrent, and so most clients, won't load a .torrent of more than 10 MB by default.
pub const MAX_LEN: usize = 10 * 1024 * 1024;

/// The deepest nesting we read: libtorrent's limit too. A directory of a v2 torrent costs one level.
pub const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests;
