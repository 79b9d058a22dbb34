//! What the journal's users share: which segments there are, and how far they are written.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::{JournalId, Options, Position, Reader, Syncer, segment};

/// A handle on the journal: as many as you like.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    dir_file: File,
    id: JournalId,
    segment_bytes: u64,
    /// A copy of the last segment's, so that a reader that is up to date takes no lock.
    end: AtomicU64,
    state: Mutex<State>,
    /// One sync at a time: a second one mustn't return before what the first one has begun is done.
    syncing: Mutex<()>,
    /// Held as long as someone might write or delete.
    lock: File,
}

impl Drop for Shared {
    /// Closing the file isn't enough: a child process just forked holds it too, for a moment.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// In the order of their positions. All but the one being written have records.
    pub(super) segments: VecDeque<Segment>,
    pub(super) spare_bytes: u64,
    /// How far the database had come when it was last told.
    applied: u64,
    /// There is a file that the directory may have forgotten after a power cut.
    pub(super) dir_unsynced: bool,
}

/// What everyone may know of a segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    /// The last record's position; the one before `first` if there is none.
    pub(super) last: u64,
    /// Header and whole frames.
    pub(super) len: u64,
    /// What it takes on disk.
    pub(super) disk_bytes: u64,
    /// Nothing more will be written to it.
    pub(super) sealed: bool,
    /// There may be bytes in it that aren't on disk yet.
    pub(super) unsynced: Option<Arc<File>>,
    /// The disk failed to take some of them, and the system may have forgotten which.
    pub(super) sync_failed: bool,
}

impl State {
    /// Bytes written, headers included.
    pub(super) fn used(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Whether the database has every record of that segment.
    pub(super) fn is_applied(&mut self, first: u64) -> bool {
        let applied = self.applied;
        self.segment(first)
            .is_some_and(|segment| segment.last <= applied)
    }

    pub(super) fn segment(&mut self, first: u64) -> Option<&mut Segment> {
        let at = self
            .segments
            .binary_search_by_key(&first, |segment| segment.first)
            .ok()?;
        self.segments.get_mut(at)
    }
}

impl Log {
    pub(super) fn new(
        options: &Options,
        segments: VecDeque<Segment>,
        end: Position,
        applied: Position,
        dir_file: File,
        lock: File,
    ) -> Self {
        Self(Arc::new(Shared {
            dir: options.dir.clone(),
            dir_file,
            id: options.id,
            segment_bytes: options.segment_bytes,
            end: AtomicU64::new(end.0),
            state: Mutex::new(State {
                segments,
                applied: applied.0,
                ..State::default()
            }),
            syncing: Mutex::new(()),
            lock,
        }))
    }

    /// The last record written. 0 before the first one ever.
    pub fn end(&self) -> Position {
        Position(self.0.end.load(Ordering::Acquire))
    }

    /// Bytes on disk: whole segments, written or not, and the one set aside. Damaged files kept aside don't count.
    pub fn bytes(&self) -> u64 {
        let state = self.0.state.lock();
        let segments = state.segments.iter();
        segments.map(|segment| segment.disk_bytes).sum::<u64>() + state.spare_bytes
    }

    /// The database has everything through `applied`: deletes the segments that hold nothing else. The one being
    /// written stays, unless the disk has no room for another. A file that can't be deleted is an error, and the next
    /// [`open`](super::open) deletes it.
    pub fn drop_through(&self, applied: Position) -> io::Result<()> {
        self.state().applied = applied.0;
        self.drop_applied()
    }

    /// Deletes what the database had when it was last told.
    pub(super) fn drop_applied(&self) -> io::Result<()> {
        let mut dropped = Vec::new();
        {
            let state = &mut *self.state();
            while let Some(segment) = state.segments.front() {
                if !segment.sealed || segment.last > state.applied {
                    break;
                }
                dropped.extend(state.segments.pop_front());
            }
        }
        let mut result = Ok(());
        for segment in dropped {
            let deleted = segment::delete(self.dir(), segment.first);
            if let Err(error) = deleted
                && error.kind() != io::ErrorKind::NotFound
            {
                result = Err(error);
            }
        }
        result
    }

    /// Reads the records after `after`: those that are there, and those that will be.
    pub fn reader(&self, after: Position) -> Reader {
        Reader::new(self.clone(), after)
    }

    /// Makes durable what has been appended, without standing in the writer's way.
    pub fn syncer(&self) -> Syncer {
        Syncer::new(self.clone())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(super) fn dir_file(&self) -> &File {
        &self.0.dir_file
    }

    pub(super) fn id(&self) -> JournalId {
        self.0.id
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.0.segment_bytes
    }

    /// Never held over reading or writing.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(super) fn syncing(&self) -> MutexGuard<'_, ()> {
        self.0.syncing.lock()
    }

    /// The segment `first` has been written up to `len`, and its last record is `last`.
    pub(super) fn publish(&self, first: u64, len: u64, last: u64) {
        let mut state = self.state();
        if let Some(segment) = state.segment(first) {
            segment.len = len;
            segment.last = last;
            segment.disk_bytes = segment.disk_bytes.max(len);
        }
        self.0.end.store(last, Ordering::Release);
    }
}
