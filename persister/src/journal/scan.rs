//! What can still be read in a segment's bytes. Any bytes will do; no file is touched here.

use std::ops::Range;

use super::frame::{self, Frame};
use super::segment::{HEADER, Head};
use super::{JournalId, frame::NoFrame};

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the whole frames are, those that only repeat earlier positions included.
    pub(super) frames: Vec<Range<usize>>,
    /// Positions that can be read, gaps left out.
    pub(super) runs: Vec<Run>,
    /// Bytes between whole frames, or before the first, that are no frame.
    pub(super) damage: Vec<Range<usize>>,
    /// Behind the last whole frame.
    pub(super) end: usize,
    /// What is there.
    pub(super) tail: Tail,
}

/// Positions without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What comes behind the last whole frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing, or zeros: the room that was set aside.
    #[default]
    Clean,
    /// The beginning of a frame: a write that the crash cut short.
    Torn(Range<usize>),
    /// What could have been a frame.
    Damaged(Range<usize>),
    /// Frames of a write that failed: the next segment has their positions.
    Void(Range<usize>),
}

/// Reads a segment whose positions are `first` and up to, without it, `before`.
pub(super) fn scan(id: JournalId, bytes: &[u8], first: u64, before: Option<u64>) -> Scan {
    let content = bytes.iter().rposition(|&byte| byte != 0);
    let content = &bytes[..content.map_or(0, |last| last + 1)];
    let mut scan = Scan::default();
    let mut at = HEADER;
    if Head::read(id, bytes) != (Head::Ours { first }) && !content.is_empty() {
        scan.damage.push(0..HEADER.min(bytes.len()));
    }
    scan.end = at.min(bytes.len());
    let mut last = first.saturating_sub(1);
    let before = before.unwrap_or(u64::MAX);
    while at < content.len() {
        match whole(id, &bytes[at..]) {
            Some(frame) if frame.first >= first && frame.last() < before => {
                if frame.last() > last {
                    scan.note(frame, last);
                    last = frame.last();
                }
                scan.frames.push(at..at + frame.len);
                at += frame.len;
                scan.end = at;
            }
            Some(frame) if frame.first >= before => {
                scan.tail = Tail::Void(at..content.len().max(at + frame.len));
                break;
            }
            _ => match resume(id, bytes, at + 1, content.len(), last, before) {
                Some(next) => {
                    scan.damage.push(at..next);
                    at = next;
                }
                None => {
                    scan.tail = tail(&bytes[at..], at, content.len());
                    break;
                }
            },
        }
    }
    scan
}

impl Scan {
    fn note(&mut self, frame: Frame, last: u64) {
        let first = frame.first.max(last + 1);
        match self.runs.last_mut() {
            Some(run) if run.last + 1 == first => run.last = frame.last(),
            _ => self.runs.push(Run {
                first,
                last: frame.last(),
            }),
        }
    }

    /// Whether the whole frames are all there is, one behind the other.
    pub(super) fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

fn whole(id: JournalId, bytes: &[u8]) -> Option<Frame> {
    let frame = frame::read(id, bytes).ok()?;
    frame::holds_its_records(frame, bytes).then_some(frame)
}

/// Where, from `from` on, a whole frame with records after `last` begins.
fn resume(
    id: JournalId,
    bytes: &[u8],
    from: usize,
    content: usize,
    last: u64,
    before: u64,
) -> Option<usize> {
    (from..content).find(|&at| {
        whole(id, &bytes[at..]).is_some_and(|frame| frame.first > last && frame.last() < before)
    })
}

/// Names what begins at `at` and is no frame. `content` is where the zeros begin.
fn tail(bytes: &[u8], at: usize, content: usize) -> Tail {
    let range = at..content;
    let cut = match frame::claimed(bytes) {
        Ok(len) => range.len() < len,
        Err(NoFrame::Short | NoFrame::Bad) => range.len() < frame::MIN,
    };
    if cut {
        Tail::Torn(range)
    } else {
        Tail::Damaged(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::segment::header;

    const ID: JournalId = JournalId(*b"journal!");

    proptest! {
        #[test]
        fn any_bytes_can_be_scanned(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            headed: bool,
            first in 1..u64::MAX,
            before: Option<u64>,
        ) {
            let mut segment = if headed { header(ID, first).to_vec() } else { Vec::new() };
            segment.extend(bytes);
            let scan = scan(ID, &segment, first, before);
            prop_assert!(scan.frames.is_empty());
            prop_assert!(scan.end <= segment.len());
        }

        /// Right sums, but positions, counts and contents that nobody would write.
        #[test]
        fn any_sealed_bytes_can_be_scanned(
            frames in prop::collection::vec((any::<u64>(), any::<u32>(), 0..4u32, prop::collection::vec(any::<u8>(), 0..300)), 1..5),
            before: Option<u64>,
        ) {
            let mut segment = header(ID, 1).to_vec();
            for (first, count, few, payload) in frames {
                let start = segment.len();
                segment.extend((payload.len() as u32).to_le_bytes());
                segment.extend([0; 4]);
                segment.extend(first.to_le_bytes());
                segment.extend(if few == 0 { count } else { few }.to_le_bytes());
                segment.extend(payload);
                let mut sum = crc32fast::Hasher::new();
                sum.update(&ID.0);
                sum.update(&segment[start..start + 4]);
                sum.update(&segment[start + 8..]);
                segment[start + 4..start + 8].copy_from_slice(&sum.finalize().to_le_bytes());
            }
            scan(ID, &segment, 1, before);
        }
    }
}
