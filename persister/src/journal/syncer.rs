//! From the system's memory to the disk.

use std::io;
use std::sync::Arc;

use super::{Log, Position};

/// Lets another thread wait for the disk while the writer goes on.
#[derive(Clone, Debug)]
pub struct Syncer {
    log: Log,
}

impl Syncer {
    pub(super) fn new(log: Log) -> Self {
        Self { log }
    }

    /// Returns once everything appended before the call is on disk; that's the position it returns.
    ///
    /// After an error nobody knows what is on disk of the segments concerned, and asking again wouldn't tell: the
    /// system reports a page that it couldn't write only once. So this goes on failing until those segments are
    /// [dropped](Log::drop_through), and the writer leaves them at its next append.
    pub fn sync(&self) -> io::Result<Position> {
        let _one_at_a_time = self.log.syncing();
        let (end, files, dir_unsynced) = {
            let mut state = self.log.state();
            let mut files = Vec::new();
            for segment in &state.segments {
                if segment.sync_failed {
                    return Err(io::Error::other(format!(
                        "the disk failed earlier on the segment that begins at {}",
                        segment.first
                    )));
                }
                if let Some(file) = &segment.unsynced {
                    files.push((segment.first, segment.sealed, Arc::clone(file)));
                }
            }
            let dir_unsynced = std::mem::take(&mut state.dir_unsynced);
            (self.log.end(), files, dir_unsynced)
        };
        if dir_unsynced && let Err(error) = self.log.dir_file().sync_all() {
            self.log.state().dir_unsynced = true;
            return Err(error);
        }
        for (first, sealed, file) in files {
            let synced = file.sync_data();
            if let Some(segment) = self.log.state().segment(first) {
                segment.sync_failed |= synced.is_err();
                if sealed && synced.is_ok() {
                    segment.unsynced = None;
                }
            }
            synced?;
        }
        Ok(end)
    }
}
