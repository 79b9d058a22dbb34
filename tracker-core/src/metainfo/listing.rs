//! The list of files that both formats come down to.

use super::path::Path;
use super::{Error, Problem, bytes, number, required};
use crate::bencode::{self, Dict};

/// The most files in a torrent, pad files included. The largest known to be shared have some tens of thousands.
pub const MAX_FILES: usize = 100_000;

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Names joined by `/`, relative to the torrent's own folder. Never absolute, and never with a `..` in it.
    pub path: String,
    /// Bytes.
    pub length: u64,
}

/// Files as they are gathered, with the sums and within the limits.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) files: Vec<File>,
    /// Bytes of content.
    pub(super) size: u64,
    /// Bytes that the pieces cover: content and pad files.
    pub(super) span: u64,
    count: usize,
    path_bytes: usize,
}

impl Listing {
    pub(super) fn push(&mut self, path: &str, entry: Entry) -> Result<(), Problem> {
        self.count += 1;
        if self.count > MAX_FILES {
            return Err(Problem::TooManyFiles);
        }
        // Databases keep 64 bits with a sign.
        let span = self
            .span
            .checked_add(entry.length)
            .filter(|span| i64::try_from(*span).is_ok());
        self.span = span.ok_or(Problem::TooLarge)?;
        if entry.pad {
            return Ok(());
        }
        // A v2 tree says a long folder name once, where we repeat it for every file in it. v1 repeats it too: so no
        // more than a v1 torrent could hold.
        self.path_bytes += path.len();
        if self.path_bytes > bencode::MAX_LEN {
            return Err(Problem::PathsTooLong);
        }
        self.size += entry.length;
        self.files.push(File {
            path: path.to_owned(),
            length: entry.length,
        });
        Ok(())
    }
}

/// What a v1 `files` entry and a v2 file have in common.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) length: u64,
    pub(super) pad: bool,
}

impl Entry {
    pub(super) fn read(entry: Dict<'_>) -> Result<Self, Error> {
        let attr = entry.get(b"attr").map(bytes).transpose();
        let attr = attr
            .map_err(|problem| problem.at("attr"))?
            .unwrap_or_default();
        if let Some(target) = entry.get(b"symlink path") {
            Path::read(target).map_err(|problem| problem.at("symlink path"))?;
        }
        let length = match entry.get(b"length") {
            // A link has no content of its own, and may leave its length out (BEP 47).
            None if attr.contains(&b'l') => 0,
            length => {
                number(required(length, "length")?).map_err(|problem| problem.at("length"))?
            }
        };
        Ok(Self {
            length,
            pad: attr.contains(&b'p'),
        })
    }
}
