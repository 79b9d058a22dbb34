//! The journal: announce records on disk, numbered, before the database has them.
//!
//! One [`Writer`] appends records to a row of segment files. Every record gets the next [`Position`], and no number is
//! given twice. A [`Reader`] follows by position, through the same files, whether it replays after a crash or stays a
//! few records behind the writer. Once the database has everything through a position, [`Log::drop_through`] deletes
//! the segments that lie wholly before it.
//!
//! [`open`] is the way in. It recovers what an earlier process left behind, and its [`Recovery`] says what
//! it found; it never deletes a byte that could be a record. [`survey()`] only looks. Nothing is logged or measured here,
//! and no thread is started: callers do that. What is promised and what isn't stands in `journal/README.md`.
//!
//! From the outside inwards: a `segment` is a header and frames, a `frame` is some `packed` records.

mod log;
mod reader;
mod syncer;
mod writer;

mod finding;
mod recovery;
mod scan;
mod survey;

mod segment;

mod frame;
mod packed;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use finding::Finding;
pub use log::Log;
pub use reader::{ReadError, Reader};
pub use survey::{Survey, survey};
pub use syncer::Syncer;
pub use writer::{Pressure, Writer};

/// A record's number. The first record ever is 1; 0 is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a journal for good. Part of every check sum, so that another journal's bytes are never taken for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalId(pub [u8; 8]);

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the journal is, and how large it may grow.
#[derive(Clone, Debug)]
pub struct Options {
    /// Holds nothing but this journal. Made if it isn't there.
    pub dir: PathBuf,
    /// Whose journal it should be.
    pub id: JournalId,
    /// Size of a segment file, set aside on disk before it is written.
    pub segment_bytes: u64,
    /// From here on the journal is [full](Pressure::Full). Segments set aside come on top: up to two.
    pub limit_bytes: u64,
}

impl Options {
    /// Large enough that a new file is rare, small enough that deleting whole ones keeps up.
    pub const SEGMENT_BYTES: u64 = 16 << 20;
}

/// What was found on opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The first record that the database doesn't have; without any, the next one to be written.
    pub first: Position,
    /// The number after which the journal goes on.
    pub last: Position,
    /// Records that the database doesn't have.
    pub records: u64,
    /// What wasn't as it should be, in the order of the files.
    pub findings: Vec<Finding>,
}

/// Why there is no journal to write to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("can't {doing} {}: {source}", path.display())]
    Io {
        /// A verb, to go before the path.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Skipping what this program can't read would lose it. Nothing was touched.
    #[error(
        "{} is of format {version}, and this program reads up to {}: start the newer program again, let it bring the \
         journal into the database, and go back then",
        path.display(),
        segment::VERSION
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// Two writers would give the same numbers twice.
    #[error("another process has the journal in {} open", dir.display())]
    InUse {
        /// The journal's directory.
        dir: PathBuf,
    },
}

/// Opens the journal, or begins one. `applied` is how far the database has come: 0 if it has nothing.
pub fn open(options: Options, applied: Position) -> Result<(Writer, Log, Recovery), OpenError> {
    let dir = options.dir.as_path();
    make(dir).map_err(failed("make the directory", dir))?;
    let lock = lock(dir)?;
    let dir_file = File::open(dir).map_err(failed("open", dir))?;
    let recovered = recovery::recover(dir, options.id, applied)?;
    dir_file.sync_all().map_err(failed("sync", dir))?;
    let log = Log::new(
        &options,
        recovered.segments,
        recovered.report.last,
        applied,
        dir_file,
        lock,
    );
    let writer = Writer::new(log.clone(), options.limit_bytes)
        .map_err(failed("set aside the room for a segment in", dir))?;
    Ok((writer, log, recovered.report))
}

fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.into() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io {
        doing,
        path,
        source,
    }
}
