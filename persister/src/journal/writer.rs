//! Appends records: whole or not at all.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tracker_core::record::Record;

use super::log::Segment;
use super::{Log, Position, Syncer, frame, segment};

/// A buffer that grew beyond this for one large append is given back.
const BUFFER_BYTES: usize = 1 << 20;

/// The only one who writes.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    limit_bytes: u64,
    current: Option<Current>,
    /// The next segment, with its room on disk.
    spare: Option<File>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    file: Arc<File>,
    first: u64,
    len: u64,
}

/// How much room there is for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Enough.
    Free,
    /// Three quarters of the limit are written, or the disk has no room for the next segment.
    Tight,
    /// The limit is reached, or the disk has no room, half of the last segment is written, and the database hasn't got
    /// it. What is left, about a segment or the rest of one, is for last words; then appends fail.
    Full,
}

impl Writer {
    pub(super) fn new(log: Log, limit_bytes: u64) -> io::Result<Self> {
        let mut writer = Self {
            log,
            limit_bytes,
            current: None,
            spare: None,
            buffer: Vec::new(),
        };
        if writer.may_grow()
            && let Err(error) = writer.set_aside()
            && writer.log.state().segments.is_empty()
        {
            return Err(error);
        }
        // On a full disk, room comes when the database has what is there.
        Ok(writer)
    }

    /// Writes the records, and returns the last one's position. Readers see them once they are all written; on disk
    /// they are after the next [sync](Self::sync).
    ///
    /// On an error none of them counts as written, and their positions go to the next records: append them again when
    /// you like. It fails with [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) when the limit and what is kept for last
    /// words are used up, and with whatever the file system says.
    pub fn append(&mut self, records: &[Record]) -> io::Result<Position> {
        let first = self.log.end().0 + 1;
        let last = first + records.len() as u64 - 1;
        if records.is_empty() {
            return Ok(Position(last));
        }
        self.buffer.clear();
        frame::write(self.log.id(), first, records, &mut self.buffer);
        self.make_room(first)?;
        let written = self.write();
        self.buffer.shrink_to(BUFFER_BYTES);
        match written {
            Ok((segment, len)) => self.log.publish(segment, len, last),
            Err(error) => {
                self.seal();
                return Err(error);
            }
        }
        Ok(Position(last))
    }

    /// Returns once everything appended is on disk. See [`Syncer::sync`].
    pub fn sync(&mut self) -> io::Result<()> {
        self.syncer().sync().map(drop)
    }

    /// The same for another thread.
    pub fn syncer(&self) -> Syncer {
        self.log.syncer()
    }

    /// How much room there is. If the disk had none for the next segment, it is asked again: call this every second
    /// or so.
    pub fn pressure(&mut self) -> Pressure {
        let wanted = self.may_grow();
        if wanted && self.spare.is_none() {
            // That it is missing is the answer.
            let _ = self.set_aside();
        }
        let used = self.log.state().used();
        let no_spare = wanted && self.spare.is_none();
        let little_left = self.current.is_none() || self.is_half_written();
        if used >= self.limit_bytes || no_spare && little_left {
            Pressure::Full
        } else if used >= self.limit_bytes / 4 * 3 || no_spare {
            Pressure::Tight
        } else {
            Pressure::Free
        }
    }

    /// Sees to it that what is in the buffer has a segment to go to.
    fn make_room(&mut self, first: u64) -> io::Result<()> {
        if self.spare.is_none() && self.can_start_over() {
            // Last words may come one after the other: then it is never so when the pressure is looked at.
            let _ = self.set_aside();
        }
        let len = self.buffer.len() as u64;
        let segment_bytes = self.log.segment_bytes();
        let (used, sync_failed) = {
            let mut state = self.log.state();
            let current = self.current.as_ref();
            let current = current.and_then(|current| state.segment(current.first));
            let sync_failed = current.is_some_and(|segment| segment.sync_failed);
            (state.used(), sync_failed)
        };
        let most = self.limit_bytes.saturating_add(segment_bytes);
        let fits = self.current.as_ref().is_some_and(|current| {
            // One that is larger than a segment gets a segment of its own, and that one grows.
            current.len + len <= segment_bytes || current.len == segment::HEADER as u64
        });
        let header = if fits { 0 } else { segment::HEADER as u64 };
        if used + header + len > most {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("the journal has {used} bytes, and {most} is the most it may have"),
            ));
        }
        if fits && !sync_failed {
            return Ok(());
        }
        self.seal();
        self.begin(first)
    }

    /// Goes on in a new segment, and sets the one after it aside.
    fn begin(&mut self, first: u64) -> io::Result<()> {
        if self.spare.is_none() {
            self.set_aside()?;
        }
        let Some(spare) = self.spare.take() else {
            return Ok(());
        };
        self.log.state().spare_bytes = 0;
        segment::begin(self.log.dir(), &spare, self.log.id(), first)?;
        let file = Arc::new(spare);
        let len = segment::HEADER as u64;
        {
            let mut state = self.log.state();
            state.dir_unsynced = true;
            state.segments.push_back(Segment {
                first,
                last: first - 1,
                len,
                disk_bytes: self.log.segment_bytes(),
                sealed: false,
                unsynced: Some(Arc::clone(&file)),
                sync_failed: false,
            });
        }
        self.current = Some(Current { file, first, len });
        if self.may_grow() {
            // The pressure tells when there is no room for it.
            let _ = self.set_aside();
        }
        Ok(())
    }

    /// One write of the whole buffer. Returns the segment and how far it is written.
    fn write(&mut self) -> io::Result<(u64, u64)> {
        let Some(current) = &mut self.current else {
            return Err(io::Error::other("no segment"));
        };
        current.file.write_all_at(&self.buffer, current.len)?;
        current.len += self.buffer.len() as u64;
        Ok((current.first, current.len))
    }

    /// Nothing more goes to the present segment. What a failed write left behind its end is cut off; should that fail
    /// too, recovery knows it by the next segment's first position.
    fn seal(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let cut = current.file.set_len(current.len);
        let mut state = self.log.state();
        if current.len == segment::HEADER as u64 {
            // No record, and the next segment takes its name.
            state.segments.pop_back();
            drop(state);
            let _ = fs::remove_file(segment::path(self.log.dir(), current.first));
        } else if let Some(segment) = state.segment(current.first) {
            segment.sealed = true;
            if cut.is_ok() {
                segment.disk_bytes = segment.len;
            }
        }
    }

    /// Whether the limit lets another segment come after the present one.
    fn may_grow(&self) -> bool {
        let segment_bytes = self.log.segment_bytes();
        let written = self.current.as_ref().map_or(0, |current| current.len);
        let sealed = self.log.state().used() - written;
        let taken = self.current.as_ref().map_or(0, |_| segment_bytes);
        sealed + taken < self.limit_bytes.saturating_add(segment_bytes)
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let bytes = self.log.segment_bytes();
        let spare = segment::set_aside(self.log.dir(), bytes).or_else(|_| {
            self.start_over()?;
            segment::set_aside(self.log.dir(), bytes)
        })?;
        self.spare = Some(spare);
        self.log.state().spare_bytes = bytes;
        Ok(())
    }

    /// On a disk without room, what the database has already makes some.
    fn start_over(&mut self) -> io::Result<()> {
        if self.can_start_over() {
            self.seal();
        }
        self.log.drop_applied()
    }

    /// Whether the present segment is better given up than written to its end.
    fn can_start_over(&self) -> bool {
        let is_applied = |current: &Current| self.log.state().is_applied(current.first);
        self.is_half_written() && self.current.as_ref().is_some_and(is_applied)
    }

    fn is_half_written(&self) -> bool {
        let half = self.log.segment_bytes() / 2;
        self.current.as_ref().is_some_and(|c| c.len >= half)
    }
}
