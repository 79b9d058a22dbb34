//! What memory believes of the baselines in the database: hints that save the batch a look-up. The write checks each of
//! them, so a wrong one costs time and never a byte, and what is forgotten is read again.

use std::collections::HashMap;

use tracker_core::accounting::{Baseline, Counters};
use tracker_core::record::SessionKey;
use tracker_core::session::StoredSession;

/// Sessions in a generation: what a table of 2^21 places holds. Some 56 bytes each, so 206 MB at most in two of them; a
/// site with more than 1.8 million active sessions reads some baselines again.
const GENERATION_MAX: usize = 1_835_008;

/// Two generations: when the young one is full it becomes the old one, and the old one, of which nobody has been heard
/// since, is forgotten.
#[derive(Debug, Default)]
pub struct Baselines {
    young: HashMap<SessionKey, Counters>,
    old: HashMap<SessionKey, Counters>,
}

impl Baselines {
    /// Takes over what the loading of the swarms has read.
    pub fn learn(&mut self, session: &StoredSession) {
        self.put(session.key, session.baseline);
    }

    /// What the database is believed to hold.
    pub fn get(&self, key: &SessionKey) -> Option<Baseline> {
        let counters = self.young.get(key).or_else(|| self.old.get(key));
        counters.copied().map(Baseline::starting_at)
    }

    /// The database holds this now.
    pub fn put(&mut self, key: SessionKey, baseline: Baseline) {
        // Suspects are rare and settled by the next announce: they are read again.
        if baseline.suspect.is_some() {
            return self.forget(&key);
        }
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, baseline.counters);
    }

    /// Nobody knows what the database holds.
    pub fn forget(&mut self, key: &SessionKey) {
        self.young.remove(key);
        self.old.remove(key);
    }
}
