//! A journal of the bench's own.

use std::path::Path;

use anyhow::Result;
use persister::journal::{self, JournalId, Log, Options, Position, Writer};

/// Opens one in a folder, with segments as large as they are by default.
pub(crate) fn open(dir: &Path) -> Result<(Writer, Log)> {
    let options = Options {
        dir: dir.join("journal"),
        id: JournalId([1; 8]),
        segment_bytes: Options::SEGMENT_BYTES,
        limit_bytes: 4 << 30,
    };
    let (writer, log, _) = journal::open(options, Position(0))?;
    Ok((writer, log))
}
