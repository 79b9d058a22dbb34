//! Records with a check sum around them: what is read is what was written, or it isn't read.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the records; 0 where nothing has been written yet |
//! | 4 | CRC-32 of the journal's id and everything here but itself |
//! | 8 | position of the first record |
//! | 4 | number of records |
//! | length | packed records, in the order of their positions |

use tracker_core::record::Record;

use super::{JournalId, packed};

/// What is lost at most when a byte goes bad. Some 38 kB.
pub(super) const RECORDS_MAX: usize = 512;
/// Bytes of the largest frame.
pub(super) const MAX: usize = HEAD + RECORDS_MAX * packed::MAX;
/// Bytes of the smallest.
pub(super) const MIN: usize = HEAD + packed::MIN;

const HEAD: usize = 20;

/// A whole frame. Its records begin [`HEAD`] bytes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) first: u64,
    pub(super) count: u32,
    /// Bytes from its own beginning to the next frame's.
    pub(super) len: usize,
}

impl Frame {
    /// Where its records begin.
    pub(super) const RECORDS: usize = HEAD;

    pub(super) fn last(&self) -> u64 {
        self.first + (u64::from(self.count) - 1)
    }
}

/// Why no frame begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// There might be one, with more bytes.
    Short,
    /// There is none.
    Bad,
}

/// Writes `records` behind `out`, in as many frames as it takes. `first` is the first one's position.
pub(super) fn write(id: JournalId, first: u64, records: &[Record], out: &mut Vec<u8>) {
    let mut position = first;
    for records in records.chunks(RECORDS_MAX) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        for record in records {
            packed::pack(record, out);
        }
        let frame = &mut out[start..];
        // Both are at most RECORDS_MAX records.
        let length = (frame.len() - HEAD) as u32;
        frame[0..4].copy_from_slice(&length.to_le_bytes());
        frame[8..16].copy_from_slice(&position.to_le_bytes());
        frame[16..20].copy_from_slice(&(records.len() as u32).to_le_bytes());
        let sum = check_sum(id, frame);
        frame[4..8].copy_from_slice(&sum.to_le_bytes());
        position += records.len() as u64;
    }
}

/// The frame that `bytes` begin with. The records in it are [counted](holds_its_records) elsewhere.
pub(super) fn read(id: JournalId, bytes: &[u8]) -> Result<Frame, NoFrame> {
    let len = claimed(bytes)?;
    let head: &[u8; HEAD] = bytes.first_chunk().ok_or(NoFrame::Short)?;
    let [_, _, _, _, s0, s1, s2, s3, ..] = *head;
    let [.., p0, p1, p2, p3, p4, p5, p6, p7, c0, c1, c2, c3] = *head;
    let first = u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    let records = count as usize;
    if first == 0
        || first.checked_add(u64::from(count)).is_none()
        || records == 0
        || records > RECORDS_MAX
        || !(records * packed::MIN..=records * packed::MAX).contains(&(len - HEAD))
    {
        return Err(NoFrame::Bad);
    }
    let whole = bytes.get(..len).ok_or(NoFrame::Short)?;
    if u32::from_le_bytes([s0, s1, s2, s3]) != check_sum(id, whole) {
        return Err(NoFrame::Bad);
    }
    Ok(Frame { first, count, len })
}

/// How long a frame its first word speaks of.
pub(super) fn claimed(bytes: &[u8]) -> Result<usize, NoFrame> {
    let length = u32::from_le_bytes(*bytes.first_chunk().ok_or(NoFrame::Short)?) as usize;
    if (packed::MIN..=MAX - HEAD).contains(&length) {
        Ok(HEAD + length)
    } else {
        Err(NoFrame::Bad)
    }
}

/// Whether a frame's records are as many as it says. The sum alone doesn't show that they can be read.
pub(super) fn holds_its_records(frame: Frame, bytes: &[u8]) -> bool {
    let mut at = HEAD;
    for _ in 0..frame.count {
        match bytes.get(at..frame.len).and_then(packed::unpack) {
            Some((_, len)) => at += len,
            None => return false,
        }
    }
    at == frame.len
}

/// `frame` is a whole one, its sum not counted.
fn check_sum(id: JournalId, frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.0);
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}
