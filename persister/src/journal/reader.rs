//! Follows the journal by position, from its files, up to where it is written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tracker_core::record::Record;

use super::frame::{self, Frame, NoFrame};
use super::{Log, Position, packed, segment};

/// Read at once: some 4000 records, and few enough bytes to stay in a core's own cache.
const CHUNK_BYTES: usize = 256 << 10;

/// A place in the journal. Any number of them, each at its own pace.
#[derive(Debug)]
pub struct Reader {
    log: Log,
    /// The last record given out.
    after: u64,
    segment: Option<Open>,
    buffer: Vec<u8>,
    /// What is in the buffer, from here to its end, hasn't been given out.
    at: usize,
    /// The record at `at`, as long as `left` isn't 0.
    next: u64,
    /// Records left of the frame begun.
    left: u32,
}

#[derive(Debug)]
struct Open {
    first: u64,
    file: File,
    /// Behind what is in the buffer.
    offset: u64,
    /// How far it is written, when we last looked.
    len: u64,
}

/// The files aren't what they were when they were written or recovered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system said no.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// Which segment.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Opening the journal anew recovers what comes after it.
    #[error(
        "{} is damaged at byte {offset}, after position {after}: start the tracker again, and it goes on behind the damage",
        path.display()
    )]
    Damaged {
        /// Which segment.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// The last record that could be read.
        after: Position,
    },
}

impl Reader {
    pub(super) fn new(log: Log, after: Position) -> Self {
        Self {
            log,
            after: after.0,
            segment: None,
            buffer: Vec::new(),
            at: 0,
            next: 0,
            left: 0,
        }
    }

    /// Gives out up to `max` records in their order, each once, and returns how many. 0: that's all there is for now.
    ///
    /// After an error the reader stays where it is.
    pub fn read(
        &mut self,
        max: usize,
        mut take: impl FnMut(Position, &Record),
    ) -> Result<usize, ReadError> {
        let mut taken = 0;
        while taken < max && (self.left > 0 || self.next_frame()?) {
            let Some((record, len)) = packed::unpack(&self.buffer[self.at..]) else {
                return Err(self.damaged());
            };
            if self.next > self.after {
                take(Position(self.next), &record);
                self.after = self.next;
                taken += 1;
            }
            self.at += len;
            self.next += 1;
            self.left -= 1;
        }
        Ok(taken)
    }

    /// Goes to the next frame with something new. `false` at the journal's end.
    fn next_frame(&mut self) -> Result<bool, ReadError> {
        loop {
            match frame::read(self.log.id(), &self.buffer[self.at..]) {
                Ok(frame) if frame.last() <= self.after => self.at += frame.len,
                Ok(frame) => {
                    self.at += Frame::RECORDS;
                    self.next = frame.first;
                    self.left = frame.count;
                    return Ok(true);
                }
                Err(NoFrame::Bad) => return Err(self.damaged()),
                Err(NoFrame::Short) => {
                    if self.log.end().0 <= self.after || !self.fill()? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Gets more bytes: of this segment, if there are any, or else of the next. `false` if there is none.
    fn fill(&mut self) -> Result<bool, ReadError> {
        if self
            .segment
            .as_ref()
            .is_none_or(|open| open.offset >= open.len)
            && !self.look()?
        {
            return Ok(false);
        }
        let Some(open) = &mut self.segment else {
            return Ok(false);
        };
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        let wanted = usize::try_from(open.len - open.offset).unwrap_or(CHUNK_BYTES);
        self.buffer.resize(kept + wanted.min(CHUNK_BYTES), 0);
        let read = open
            .file
            .read_exact_at(&mut self.buffer[kept..], open.offset);
        if let Err(source) = read {
            self.buffer.truncate(kept);
            let path = segment::path(self.log.dir(), open.first);
            return Err(ReadError::Io { path, source });
        }
        open.offset += (self.buffer.len() - kept) as u64;
        Ok(true)
    }

    /// Looks where the record after `after` is: further on in this segment, or in another.
    fn look(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some((first, len)) = self.whereabouts() else {
                return Ok(false);
            };
            if let Some(open) = &mut self.segment
                && open.first == first
            {
                if open.offset == len {
                    // All of it has been read, and the record wasn't there.
                    return Err(self.damaged());
                }
                open.len = len;
                return Ok(true);
            }
            if self.at < self.buffer.len() {
                return Err(self.damaged());
            }
            let path = segment::path(self.log.dir(), first);
            match File::open(&path) {
                Ok(file) => {
                    let offset = segment::HEADER as u64;
                    self.segment = Some(Open {
                        first,
                        file,
                        offset,
                        len,
                    });
                    return Ok(true);
                }
                // Dropped just now, so it isn't listed any more either.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && self.whereabouts() != Some((first, len)) => {}
                Err(source) => return Err(ReadError::Io { path, source }),
            }
        }
    }

    /// The first segment with a record after `after`, and how far it is written.
    fn whereabouts(&self) -> Option<(u64, u64)> {
        let state = self.log.state();
        let at = state.segments.partition_point(|s| s.last <= self.after);
        state.segments.get(at).map(|s| (s.first, s.len))
    }

    fn damaged(&self) -> ReadError {
        let (first, offset) = self
            .segment
            .as_ref()
            .map_or((self.after, 0), |open| (open.first, open.offset));
        ReadError::Damaged {
            path: segment::path(self.log.dir(), first),
            offset: offset - (self.buffer.len() - self.at) as u64,
            after: Position(self.after),
        }
    }
}
