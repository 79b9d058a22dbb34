//! A segment file: its name, its header, and how it comes to be.
//!
//! Its name is the position of its first record. 32 bytes of header come before the frames:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PURSERJL` |
//! | 4 | format version; these 32 bytes stay as they are in every version |
//! | 8 | journal id |
//! | 8 | first position |
//! | 4 | CRC-32 of the other 28 |

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::JournalId;

/// The format that this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// Bytes of a header.
pub(super) const HEADER: usize = 32;

const MAGIC: [u8; 8] = *b"PURSERJL";
const SUFFIX: &str = ".journal";
/// The next segment, while nobody knows where it will begin.
pub(super) const SPARE: &str = "next.spare";

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A segment of this journal, and where it begins.
    Ours { first: u64 },
    /// A segment of another.
    Foreign(JournalId),
    /// Written by a newer program.
    Newer { version: u32 },
    /// Not a header.
    Damaged,
}

impl Head {
    pub(super) fn read(id: JournalId, bytes: &[u8]) -> Self {
        let Some(head) = bytes.first_chunk::<HEADER>() else {
            return Self::Damaged;
        };
        let [.., s0, s1, s2, s3] = *head;
        let sum = crc32fast::hash(&head[..HEADER - 4]);
        if head[..8] != MAGIC || u32::from_le_bytes([s0, s1, s2, s3]) != sum {
            return Self::Damaged;
        }
        let mut version = [0; 4];
        version.copy_from_slice(&head[8..12]);
        let version = u32::from_le_bytes(version);
        let mut theirs = JournalId([0; 8]);
        theirs.0.copy_from_slice(&head[12..20]);
        let mut first = [0; 8];
        first.copy_from_slice(&head[20..28]);
        // Another journal is none of our business, in whatever format it is.
        if theirs != id {
            Self::Foreign(theirs)
        } else if version > VERSION {
            Self::Newer { version }
        } else {
            Self::Ours {
                first: u64::from_le_bytes(first),
            }
        }
    }
}

pub(super) fn header(id: JournalId, first: u64) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..20].copy_from_slice(&id.0);
    head[20..28].copy_from_slice(&first.to_le_bytes());
    let sum = crc32fast::hash(&head[..HEADER - 4]);
    head[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
    head
}

pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

/// The position in a segment's name; `None` for any other file.
pub(super) fn position_in(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|&first| first > 0)
}

/// Sets `bytes` aside for the segment after the present one, so that it has its room when the disk is full.
pub(super) fn set_aside(dir: &Path, bytes: u64) -> io::Result<File> {
    let path = dir.join(SPARE);
    let file = create(&path)?;
    match retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, bytes)) {
        // This file system can't. Then the journal learns of a full disk when it writes.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(file),
        Err(error) => {
            // Part of the room may have been taken: someone else can use it. The name is used again either way.
            let _ = fs::remove_file(&path);
            Err(error.into())
        }
    }
}

/// Makes the file set aside the segment that begins at `first`. A file of that name, which holds no record, goes.
pub(super) fn begin(dir: &Path, spare: &File, id: JournalId, first: u64) -> io::Result<()> {
    spare.write_all_at(&header(id, first), 0)?;
    fs::rename(dir.join(SPARE), path(dir, first))
}

/// Deletes the segment, and frees its room at once: a reader that has gone through it may still hold the file.
pub(super) fn delete(dir: &Path, first: u64) -> io::Result<()> {
    let path = path(dir, first);
    // A crash right after leaves an empty file: recovery takes it for what it is.
    OpenOptions::new().write(true).truncate(true).open(&path)?;
    fs::remove_file(path)
}

pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: JournalId = JournalId(*b"journal!");

    #[test]
    fn header_says_whose_it_is() {
        let head = header(ID, 7);
        assert_eq!(Head::read(ID, &head), Head::Ours { first: 7 });
        let other = JournalId([0; 8]);
        assert_eq!(Head::read(other, &head), Head::Foreign(ID));
        assert_eq!(Head::read(ID, &head[..31]), Head::Damaged);
        for at in 0..HEADER {
            let mut flipped = head;
            flipped[at] ^= 1;
            assert_eq!(Head::read(ID, &flipped), Head::Damaged, "byte {at}");
        }
    }

    #[test]
    fn name_is_a_position() {
        let path = path(Path::new(""), 7);
        assert_eq!(path, Path::new("00000000000000000007.journal"));
        let table = [
            ("00000000000000000007.journal", Some(7)),
            ("00000000000000000000.journal", None),
            ("99999999999999999999.journal", None),
            ("7.journal", None),
            ("+0000000000000000007.journal", None),
            ("00000000000000000007.journal.damaged", None),
            ("next.spare", None),
        ];
        for (name, position) in table {
            assert_eq!(position_in(name), position, "{name}");
        }
    }
}
