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
    clock: fn() -> UnixTime,
    /// The time when it last had to be looked up; 0: it has to be.
    now: AtomicU32,
    /// Requests since the last rest.
    turns: AtomicU32,
}

/// Who keeps a worker from resting, by whatever requests, doesn't keep it from this: after so many, a fraction of a
/// millisecond, it does what it would do at rest.
const TURNS_MAX: u32 = 64;

impl AtRest {
    pub(crate) fn new(
        tracker: &Arc<Tracker>,
        protocol: &'static str,
        clock: fn() -> UnixTime,
    ) -> Self {
        Self {
            tracker: Arc::clone(tracker),
            rings: Rings::default(),
            counts: Counts::new(protocol),
            clock,
            now: AtomicU32::new(0),
            turns: AtomicU32::new(0),
        }
    }

    /// A request begins, whatever it will turn out to be.
    pub(crate) fn turn(&self) {
        let turns = self.turns.load(Relaxed) + 1;
        self.turns.store(turns, Relaxed);
        if turns >= TURNS_MAX {
            self.give();
        }
    }

    /// To the second, and read from the system once for all that the worker does between two rests.
    pub(crate) fn now(&self) -> UnixTime {
        match self.now.load(Relaxed) {
            0 => {
                let now = (self.clock)();
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
    }

    fn give(&self) {
        self.rings.give(&self.tracker.outbox);
        self.counts.give(&self.tracker.timings);
        self.now.store(0, Relaxed);
        self.turns.store(0, Relaxed);
    }
}

/// One worker's, for both.
#[derive(Clone)]
pub(crate) struct AtRests {
    pub(crate) http: Arc<AtRest>,
    pub(crate) udp: Arc<AtRest>,
}

impl AtRests {
    pub(crate) fn new(tracker: &Arc<Tracker>, clock: fn() -> UnixTime) -> Self {
        Self {
            http: Arc::new(AtRest::new(tracker, "http", clock)),
            udp: Arc::new(AtRest::new(tracker, "udp", clock)),
        }
    }

    /// Called whenever the thread is about to sleep, and after each batch of packets.
    pub(crate) fn give(&self) {
        self.http.give();
        self.udp.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::TokenKey;
    use crate::settings::Settings;

    static SECONDS: AtomicU32 = AtomicU32::new(1_800_000_000);

    /// A flood of requests that aren't announces would otherwise stop the clock, and expired keys would go on opening.
    #[test]
    fn time_goes_on_for_a_worker_that_never_rests() {
        let tracker = Arc::new(Tracker::new(
            TokenKey::from_bytes([7; 32]),
            Settings::default(),
        ));
        let at_rest = AtRest::new(&tracker, "http", || UnixTime(SECONDS.load(Relaxed)));
        let begun = at_rest.now();
        SECONDS.fetch_add(1, Relaxed);
        assert_eq!(at_rest.now(), begun, "read once for many");
        (0..TURNS_MAX).for_each(|_| at_rest.turn());
        assert_eq!(at_rest.now().secs_since(begun), 1);
        SECONDS.fetch_add(1, Relaxed);
        at_rest.give();
        assert_eq!(at_rest.now().secs_since(begun), 2);
    }
}
