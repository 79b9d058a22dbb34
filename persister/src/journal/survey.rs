//! A look at a journal from outside, whether or not a process has it open. Nothing is locked, written or mended.

use std::fs;
use std::path::Path;

use super::scan::scan;
use super::segment::{self, Head};
use super::{JournalId, OpenError, Position, failed};

/// What is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bytes that segments take, and the room set aside.
    pub bytes: u64,
    /// The last record that can be read. 0: there is none, and the database has all there ever was.
    pub last: Position,
    /// Files that an earlier start kept aside for the operator.
    pub kept_aside: u64,
}

/// Looks at the journal in `dir`; one that isn't there is empty.
pub fn survey(dir: &Path, id: JournalId) -> Result<Survey, OpenError> {
    let mut survey = Survey::default();
    if !dir.exists() {
        return Ok(survey);
    }
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let entry = entry.map_err(failed("list", dir))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // Gone again: a segment that the database has just got.
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        let first = segment::position_in(name);
        firsts.extend(first);
        if first.is_some() || name == segment::SPARE {
            survey.bytes += bytes;
        } else if name.contains(".journal.") {
            survey.kept_aside += 1;
        }
    }
    firsts.sort_unstable();
    for first in firsts.into_iter().rev() {
        let path = segment::path(dir, first);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.map_err(failed("read", &path))?,
        };
        if let Head::Newer { version } = Head::read(id, &bytes) {
            return Err(OpenError::Newer { path, version });
        }
        if let Some(run) = scan(id, &bytes, first, None).runs.last() {
            survey.last = Position(run.last);
            break;
        }
    }
    Ok(survey)
}
