//! Where records wait for the journal: a few lanes, each a queue behind a lock that is held for one push or one swap.
//!
//! A torrent always uses the same lane and pushes while its swarm is locked, so a session's records keep their order.
//! The journal's thread empties the lanes round by round. Who has to know that a record would survive a crash keeps the
//! number of its [`Round`], and [waits](Outbox::journalled) for it.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::thread::{Thread, park_timeout};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ids::TorrentId;
use crate::record::{Event, Record};

/// Enough that two cores seldom want the same one; a power of two.
const LANES: usize = 16;

/// All lanes together: 1,048,576 records, some 100 MB, and as many again for last words. A journal that is further behind than that isn't coming back
/// soon; then announces are refused for a few minutes, which loses nothing, as the next one carries the same counters.
pub(crate) const LANE_LIMIT: usize = 65_536;

/// Records that an empty lane keeps room for: 100 kB, more than gathers in a round at 500,000 announces a second.
const LANE_KEPT: usize = 1_024;

/// The lanes, and the way to who empties them.
#[derive(Debug)]
pub struct Outbox {
    lanes: [Lane; LANES],
    bell: Bell,
    /// A [`Pressure`].
    pressure: AtomicU8,
    rounds: AtomicU64,
    progress: watch::Sender<Progress>,
}

/// One emptying of all lanes, counted from the process's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(pub u64);

/// How much the journal can still take: what is shed as it fills up, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    /// Everything.
    Free,
    /// Little: announces that say nothing new leave no record.
    Tight,
    /// Last words alone: all others are refused, and keep their counters for a better time.
    Full,
    /// Nothing, until the disk works again: regular announces and last words wait in the lanes, and no event is
    /// acknowledged.
    Broken,
}

/// How far the journal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// Every record of this round and those before it would survive a crash.
    done: Round,
    /// Nobody knows when the next round will be done.
    broken: bool,
}

/// The record isn't in the journal, and won't be there soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJournalled;

/// One lane: every sixteenth torrent.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    waiting: Mutex<Waiting>,
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Record>,
    /// The last round that emptied this lane.
    round: u64,
}

impl Lane {
    /// Asked before an announce changes anything; so a full lane may get one record more from each worker. A session's
    /// last word has no next one that would carry its counters: for it there is as much room again.
    pub(crate) fn is_full(&self, event: Event) -> bool {
        let limit = match event.is_last_word() {
            true => 2 * LANE_LIMIT,
            false => LANE_LIMIT,
        };
        self.length.load(Relaxed) >= limit
    }

    /// Returns the round that will take the record along.
    pub(crate) fn push(&self, record: Record) -> Round {
        let mut waiting = self.waiting.lock();
        waiting.records.push(record);
        self.length.store(waiting.records.len(), Relaxed);
        Round(waiting.round + 1)
    }
}

impl Default for Outbox {
    /// Without a journal: nobody waits for one.
    fn default() -> Self {
        let progress = Progress {
            done: Round(u64::MAX),
            broken: false,
        };
        Self {
            lanes: Default::default(),
            bell: Bell::default(),
            pressure: AtomicU8::new(Pressure::Free as u8),
            rounds: AtomicU64::new(0),
            progress: watch::Sender::new(progress),
        }
    }
}

impl Outbox {
    pub(crate) fn lane(&self, torrent: TorrentId) -> &Lane {
        &self.lanes[torrent.0 as usize % LANES]
    }

    /// Wakes the journal: at once for what somebody waits for, for others within [`wait`](Self::wait)'s `linger`.
    /// Called once the swarm is unlocked.
    pub(crate) fn ring(&self, urgent: bool) {
        self.bell.ring(urgent);
    }

    /// How much the journal can take.
    pub fn pressure(&self) -> Pressure {
        match self.pressure.load(Relaxed) {
            0 => Pressure::Free,
            1 => Pressure::Tight,
            2 => Pressure::Full,
            _ => Pressure::Broken,
        }
    }

    /// Returns once the records of a round would survive a crash.
    ///
    /// # Errors
    ///
    /// When the journal can't write: they may get there later.
    pub async fn journalled(&self, round: Round) -> Result<(), NotJournalled> {
        let mut progress = self.progress.subscribe();
        let settled = progress
            .wait_for(|progress| progress.done >= round || progress.broken)
            .await;
        match settled {
            Ok(progress) if progress.done >= round => Ok(()),
            _ => Err(NotJournalled),
        }
    }
}

/// The journal's side.
impl Outbox {
    /// From now on events wait for this thread, which is to call [`wait`](Self::wait), [`drain`](Self::drain) and
    /// [`done`](Self::done) in turn.
    pub fn attach_journal(&self) {
        self.bell.listener.get_or_init(std::thread::current);
        self.progress.send_modify(|progress| {
            progress.done = Round(self.rounds.load(Relaxed));
        });
    }

    /// Blocks until there is something to write: not a moment longer when somebody waits for it, else for `linger`, so
    /// that more comes together. Returns at `deadline` if there is nothing.
    pub fn wait(&self, linger: Duration, deadline: Instant) {
        self.bell.wait(linger, deadline);
    }

    /// Wakes the journal's thread, to be told something else.
    pub fn wake(&self) {
        self.bell.ring(true);
    }

    /// Hands over what has gathered, lane by lane, in order within each. `buffer` comes back empty, to be used again.
    pub fn drain(&self, buffer: &mut Vec<Record>, mut take: impl FnMut(&Record)) -> Round {
        let round = self.rounds.fetch_add(1, Relaxed) + 1;
        for lane in &self.lanes {
            {
                let mut waiting = lane.waiting.lock();
                std::mem::swap(&mut waiting.records, buffer);
                waiting.round = round;
                lane.length.store(0, Relaxed);
            }
            buffer.iter().for_each(&mut take);
            buffer.clear();
            // It is the next lane's: after a burst, each would keep the largest that there was.
            buffer.shrink_to(LANE_KEPT);
        }
        Round(round)
    }

    /// The records of this round and all before it would survive a crash.
    pub fn done(&self, round: Round) {
        self.progress.send_modify(|progress| {
            *progress = Progress {
                done: round,
                broken: false,
            };
        });
    }

    /// Says how much the journal can take. `Broken` also answers those who wait.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.pressure.store(pressure as u8, Relaxed);
        let broken = pressure == Pressure::Broken;
        self.progress.send_if_modified(|progress| {
            let changed = progress.broken != broken;
            progress.broken = broken;
            changed
        });
    }
}

/// A worker's rings, saved up until it has nothing else to do: what comes in one turn of its loop shares one ring, one
/// write, and one answer from the journal.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    saved: AtomicU32,
    urgent: AtomicBool,
}

/// A worker that never rests rings after so many.
const RINGS_MAX: u32 = 64;

impl Rings {
    pub(crate) fn save(&self, urgent: bool, outbox: &Outbox) {
        // One thread alone writes here: no read-modify-write is needed.
        let saved = self.saved.load(Relaxed) + 1;
        self.saved.store(saved, Relaxed);
        if urgent {
            self.urgent.store(true, Relaxed);
        }
        if saved >= RINGS_MAX {
            self.give(outbox);
        }
    }

    pub(crate) fn give(&self, outbox: &Outbox) {
        if self.saved.load(Relaxed) == 0 {
            return;
        }
        outbox.ring(self.urgent.load(Relaxed));
        self.saved.store(0, Relaxed);
        self.urgent.store(false, Relaxed);
    }
}

/// How the announce workers wake the journal's thread, and don't when it is awake.
#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    listener: OnceLock<Thread>,
}

const QUIET: u8 = 0;
const SOFT: u8 = 1;
const URGENT: u8 = 2;

impl Bell {
    fn ring(&self, urgent: bool) {
        let rung = match urgent {
            true => self.state.swap(URGENT, AcqRel) != URGENT,
            false => {
                self.state.load(Relaxed) == QUIET
                    && self
                        .state
                        .compare_exchange(QUIET, SOFT, AcqRel, Relaxed)
                        .is_ok()
            }
        };
        if rung && let Some(listener) = self.listener.get() {
            listener.unpark();
        }
    }

    fn wait(&self, linger: Duration, deadline: Instant) {
        let mut lingering = None;
        loop {
            let until = match self.state.load(Acquire) {
                QUIET => deadline,
                SOFT => *lingering.get_or_insert_with(|| Instant::now() + linger),
                _ => break,
            };
            let now = Instant::now();
            if now >= until {
                break;
            }
            park_timeout(until - now);
        }
        // Before the lanes are emptied: what comes in from here on rings again.
        self.state.swap(QUIET, AcqRel);
    }
}
