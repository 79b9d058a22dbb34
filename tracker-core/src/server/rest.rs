//! What a worker saves up until it has nothing else to do: the journal's wake-up, and its counts.

use std::sync::Arc;
use std::time::Duration;

use super::meters::Counts;
use crate::outbox::Rings;
use crate::tracker::{Announced, Tracker};

/// One worker's, for one protocol. Only its thread writes here.
pub(crate) struct AtRest {
    tracker: Arc<Tracker>,
    rings: Rings,
    pub(crate) counts: Counts,
}

impl AtRest {
    pub(crate) fn new(tracker: &Arc<Tracker>, protocol: &'static str) -> Self {
        Self {
            tracker: Arc::clone(tracker),
            rings: Rings::default(),
            counts: Counts::new(protocol),
        }
    }

    /// An announce is answered, as far as memory is concerned.
    pub(crate) fn announced(&self, announced: &Announced, took: Duration) {
        if announced.is_recorded {
            self.rings
                .save(announced.after.is_some(), &self.tracker.outbox);
        }
        self.counts.announced(announced, took);
        if self.counts.are_many() {
            self.counts.give(&self.tracker.timings);
        }
    }

    /// Wakes the journal without waiting for a rest.
    pub(crate) fn ring(&self) {
        self.rings.give(&self.tracker.outbox);
    }

    pub(crate) fn give(&self) {
        self.ring();
        self.counts.give(&self.tracker.timings);
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

    /// Called whenever the thread is about to sleep.
    pub(crate) fn give(&self) {
        self.http.give();
        self.udp.give();
    }
}
