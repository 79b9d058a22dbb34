//! What a worker saves up until it has nothing else to do: the journal's wake-up, and its counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::meters::Counts;
use crate::ids::UnixTime;
use crate::outbox::Rings;
use crate::tracker::{Announced, Tracker};

/// One worker's, for one protocol. Only its thread writes here.
pub(crate) struct AtRest {
    tracker: Arc<Tracker>,
    rings: Rings,
    pub(crate) counts: Counts,
    /// The time when it last had to be looked up; 0: it has to be.
    now: AtomicU32,
}

/// How many announces are taken to be at the same moment, if the worker doesn't rest before: a fraction of a millisecond.
const SAME_MOMENT: u64 = 64;

impl AtRest {
    pub(crate) fn new(tracker: &Arc<Tracker>, protocol: &'static str) -> Self {
        Self {
            tracker: Arc::clone(tracker),
            rings: Rings::default(),
            counts: Counts::new(protocol),
            now: AtomicU32::new(0),
        }
    }

    /// To the second, and read from the system once for all that the worker does between two rests.
    pub(crate) fn now(&self) -> UnixTime {
        match self.now.load(Relaxed) {
            0 => {
                let now = UnixTime::now();
                self.now.store(now.0, Relaxed);
                now
            }
            now => UnixTime(now),
        }
    }

    /// An announce is answered, as far as memory is concerned. What it took is known now and then: [`Counts::begin`].
    pub(crate) fn announced(&self, announced: &Announced, took: Option<Duration>) {
        if announced.is_recorded {
            self.rings
                .save(announced.after.is_some(), &self.tracker.outbox);
        }
        self.counts.announced(announced, took);
        if self.counts.saved().is_multiple_of(SAME_MOMENT) {
            self.now.store(0, Relaxed);
            if self.counts.are_many() {
                self.counts.give(&self.tracker.timings);
            }
        }
    }

    fn give(&self) {
        self.rings.give(&self.tracker.outbox);
        self.counts.give(&self.tracker.timings);
        self.now.store(0, Relaxed);
    }
}

/// One worker's, for both.
#[derive(Clone)]
pub(crate) struct AtRests {
    pub(crate) http: Arc<AtRest>,
    pub(crate) udp: Arc<AtRest>,
}

impl AtRests {
    pub(crate) fn new(tracker: &Arc<Tracker>) -> Self {
        Self {
            http: Arc::new(AtRest::new(tracker, "http")),
            udp: Arc::new(AtRest::new(tracker, "udp")),
        }
    }

    /// Called whenever the thread is about to sleep, and after each batch of packets.
    pub(crate) fn give(&self) {
        self.http.give();
        self.udp.give();
    }
}
