//! Where records wait for the persister: a few lanes, each a queue behind a lock that is held for one push or one swap.
//!
//! A torrent always uses the same lane and pushes while its swarm is locked, so a session's records keep their order.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::ids::TorrentId;
use crate::record::{Event, Record};

/// Enough that two cores seldom want the same one; a power of two.
const LANES: usize = 16;

/// All lanes together: 1,048,576 records, some 130 MB. A persister that is further behind than that isn't coming back
/// soon; then announces are refused for a few minutes, which loses nothing, as the next one carries the same counters.
pub(crate) const LANE_LIMIT: usize = 65_536;

/// The lanes.
#[derive(Debug, Default)]
pub struct Outbox {
    lanes: [Lane; LANES],
}

/// One lane: every sixteenth torrent.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    records: Mutex<Vec<Record>>,
    length: AtomicUsize,
}

impl Lane {
    /// Asked before an announce changes anything; so a full lane may get one record more from each worker. A session's
    /// last word has no next one that would carry its counters: for it there is as much room again.
    pub(crate) fn is_full(&self, event: Event) -> bool {
        let limit = match event {
            Event::Stopped | Event::Completed => 2 * LANE_LIMIT,
            _ => LANE_LIMIT,
        };
        self.length.load(Relaxed) >= limit
    }

    pub(crate) fn push(&self, record: Record) {
        let mut records = self.records.lock();
        records.push(record);
        self.length.store(records.len(), Relaxed);
    }
}

impl Outbox {
    pub(crate) fn lane(&self, torrent: TorrentId) -> &Lane {
        &self.lanes[torrent.0 as usize % LANES]
    }

    /// Hands over what has gathered, lane by lane, in order within each. `buffer` comes back empty, to be used again.
    pub fn drain(&self, buffer: &mut Vec<Record>, mut take: impl FnMut(&Record)) {
        for lane in &self.lanes {
            {
                let mut records = lane.records.lock();
                std::mem::swap(&mut *records, buffer);
                lane.length.store(0, Relaxed);
            }
            buffer.iter().for_each(&mut take);
            buffer.clear();
        }
    }
}
