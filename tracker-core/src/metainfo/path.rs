//! Names and paths, as members will see them and as their clients will write them to disk.

use std::borrow::Cow;

use super::{Problem, bytes, list};
use crate::bencode::Value;

/// The longest name of a file or folder: 255 UTF-16 units, as on NTFS, of up to three bytes each.
pub const MAX_NAME_LEN: usize = 765;

/// The longest path in bytes: Linux's PATH_MAX.
pub const MAX_PATH_LEN: usize = 4096;

/// The most names in a path; even a package manager's tree stays under 40.
pub const MAX_PATH_DEPTH: usize = 64;

/// One name, fit to be a file's. Bytes that aren't UTF-8 become U+FFFD: the name is for reading, and clients go by the
/// `info` bytes.
pub(super) fn name(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    if bytes.is_empty() {
        return Err(Problem::EmptyName);
    }
    if bytes.len() > MAX_NAME_LEN {
        return Err(Problem::NameTooLong);
    }
    let name = String::from_utf8_lossy(bytes);
    let drive = matches!(bytes, [letter, b':'] if letter.is_ascii_alphabetic());
    match &*name {
        "." | ".." => Err(Problem::UnsafeName(name.into_owned())),
        _ if drive || name.contains(['/', '\\', '\0']) => {
            Err(Problem::UnsafeName(name.into_owned()))
        }
        _ => Ok(name),
    }
}

/// A path that is being put together: names joined by `/`.
#[derive(Default)]
pub(super) struct Path {
    text: String,
    /// Where each name's text begins, its separator included.
    starts: Vec<usize>,
}

impl Path {
    /// A v1 list of names.
    pub(super) fn read(names: Value<'_>) -> Result<Self, Problem> {
        let mut path = Self::default();
        for name in list(names)? {
            path.push(bytes(name)?)?;
        }
        match path.as_str() {
            "" => Err(Problem::EmptyName),
            _ => Ok(path),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let name = name(bytes)?;
        if self.starts.len() == MAX_PATH_DEPTH {
            return Err(Problem::PathTooDeep);
        }
        if self.text.len() + 1 + name.len() > MAX_PATH_LEN {
            return Err(Problem::PathTooLong);
        }
        self.starts.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('/');
        }
        self.text.push_str(&name);
        Ok(())
    }

    pub(super) fn pop(&mut self) {
        self.text.truncate(self.starts.pop().unwrap_or_default());
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}
