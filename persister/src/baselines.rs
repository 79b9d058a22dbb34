//! What memory believes of the baselines in the database: hints that save the batch a look-up. The write checks each of
//! them, so a wrong one costs time and never a byte, and what is forgotten is read again.
//!
//! So a session is known by a hash of its key. The hasher's key is random: nobody can make two sessions look alike, and
//! by chance it happens once in a lifetime.

use std::hash::{BuildHasher, RandomState};

use tracker_core::accounting::{Baseline, Counters};
use tracker_core::record::SessionKey;
use tracker_core::room;
use tracker_core::session::StoredSession;

/// So many that each is looked through at a glance, and that one that grows neither takes long nor much memory.
const SHELVES: usize = 1 << 14;

/// Sessions on one shelf. A site with more than 8 million active sessions, 160 MB of them, reads some baselines again.
const SHELF_MAX: usize = 512;

/// Shelves of entries, in the order in which they were last put: who is silent for longest stands first.
#[derive(Debug)]
pub struct Baselines {
    hasher: RandomState,
    shelves: Vec<Shelf>,
}

#[derive(Clone, Debug, Default)]
struct Shelf {
    entries: Vec<Entry>,
    /// How many of them, from the front, were there when [`Baselines::age`] was last called.
    old: u16,
}

/// Bytes, as integers would be padded.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: [u8; TAG],
    uploaded: [u8; COUNTER],
    downloaded: [u8; COUNTER],
}

/// Bytes of a session's hash. Together with the number of its shelf there are 62 bits of it.
const TAG: usize = 6;

/// Bytes of a counter: up to 281 TB. The few that have moved more are read again.
const COUNTER: usize = 6;

const _: () = assert!(size_of::<Entry>() == 18 && size_of::<Shelf>() == 32);

impl Default for Baselines {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shelves: vec![Shelf::default(); SHELVES],
        }
    }
}

impl Baselines {
    /// Takes over what the loading of the swarms has read.
    pub fn learn(&mut self, session: &StoredSession) {
        self.put(session.key, session.baseline);
    }

    /// What the database is believed to hold.
    pub fn get(&self, key: &SessionKey) -> Option<Baseline> {
        let (shelf, tag) = self.place(key);
        let entries = &self.shelves[shelf].entries;
        let entry = entries.iter().find(|entry| entry.tag == tag)?;
        Some(Baseline::starting_at(Counters {
            uploaded: unpack(entry.uploaded),
            downloaded: unpack(entry.downloaded),
        }))
    }

    /// The database holds this now.
    pub fn put(&mut self, key: SessionKey, baseline: Baseline) {
        let (shelf, tag) = self.place(&key);
        let shelf = &mut self.shelves[shelf];
        shelf.remove(tag);
        // Suspects are rare and settled by the next announce: they are read again.
        if baseline.suspect.is_some() {
            return;
        }
        let Counters {
            uploaded,
            downloaded,
        } = baseline.counters;
        if let (Some(uploaded), Some(downloaded)) = (pack(uploaded), pack(downloaded)) {
            shelf.push(Entry {
                tag,
                uploaded,
                downloaded,
            });
        }
    }

    /// Nobody knows what the database holds.
    pub fn forget(&mut self, key: &SessionKey) {
        let (shelf, tag) = self.place(key);
        self.shelves[shelf].remove(tag);
    }

    /// Forgets the sessions of which nothing was put since the last time.
    pub fn age(&mut self) {
        self.shelves.iter_mut().for_each(Shelf::age);
    }

    fn place(&self, key: &SessionKey) -> (usize, [u8; TAG]) {
        let [tag @ .., a, b] = self.hasher.hash_one(key).to_le_bytes();
        (usize::from(u16::from_le_bytes([a, b])) % SHELVES, tag)
    }
}

impl Shelf {
    fn remove(&mut self, tag: [u8; TAG]) {
        if let Some(at) = self.entries.iter().position(|entry| entry.tag == tag) {
            self.entries.remove(at);
            self.old -= u16::from(at < self.old.into());
        }
    }

    /// As the last in its row.
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= SHELF_MAX {
            self.entries.remove(0);
            self.old = self.old.saturating_sub(1);
        }
        room::push(&mut self.entries, entry);
    }

    fn age(&mut self) {
        self.entries.drain(..usize::from(self.old));
        self.old = self.entries.len() as u16;
        room::fit(&mut self.entries, self.old.into());
    }
}

fn pack(counter: u64) -> Option<[u8; COUNTER]> {
    match counter.to_le_bytes() {
        [low @ .., 0, 0] => Some(low),
        _ => None,
    }
}

fn unpack([a, b, c, d, e, f]: [u8; COUNTER]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use tracker_core::accounting::{Suspect, SuspectKind};
    use tracker_core::ids::{PeerId, TorrentId, UserId};

    use super::*;

    fn key(user: u32) -> SessionKey {
        SessionKey {
            user: UserId(user),
            torrent: TorrentId(user % 7),
            peer_id: PeerId([1; 20]),
        }
    }

    fn baseline(uploaded: u64, downloaded: u64) -> Baseline {
        Baseline::starting_at(Counters {
            uploaded,
            downloaded,
        })
    }

    fn heap_bytes(baselines: &Baselines) -> usize {
        let shelves = baselines.shelves.iter();
        let entries: usize = shelves.map(|shelf| shelf.entries.capacity()).sum();
        entries * size_of::<Entry>() + SHELVES * size_of::<Shelf>()
    }

    #[test]
    fn baseline_comes_back_as_it_was_put() {
        let mut baselines = Baselines::default();
        let most = (1 << 48) - 1;
        for (user, up, down) in [(1, 0, 0), (2, most, 1), (3, 1, most)] {
            baselines.put(key(user), baseline(up, down));
            assert_eq!(baselines.get(&key(user)), Some(baseline(up, down)));
        }
        baselines.put(key(2), baseline(5, 6));
        assert_eq!(baselines.get(&key(2)), Some(baseline(5, 6)));
        baselines.forget(&key(2));
        assert_eq!(baselines.get(&key(2)), None);
    }

    #[test]
    fn what_does_not_fit_is_forgotten_and_not_cut_off() {
        let mut baselines = Baselines::default();
        let suspect = Baseline {
            suspect: Some(Suspect {
                counters: Counters::default(),
                kind: SuspectKind::Fell,
            }),
            ..baseline(9, 9)
        };
        for unfit in [baseline(1 << 48, 0), baseline(0, 1 << 48), suspect] {
            baselines.put(key(1), baseline(3, 4));
            baselines.put(key(1), unfit);
            assert_eq!(baselines.get(&key(1)), None);
        }
    }

    #[test]
    fn million_of_sessions_takes_less_than_25_bytes_each_and_none_once_they_are_silent() {
        let mut baselines = Baselines::default();
        let empty = heap_bytes(&baselines);
        for user in 0..1_000_000 {
            baselines.put(key(user), baseline(user.into(), 0));
        }
        let each = heap_bytes(&baselines) as f64 / 1e6;
        assert!(each < 25.0, "{each} bytes");
        assert!((0..1_000_000).all(|user| baselines.get(&key(user)).is_some()));

        baselines.age();
        baselines.put(key(1), baseline(7, 7));
        assert_eq!(baselines.get(&key(2)), Some(baseline(2, 0)));
        baselines.age();
        assert_eq!(baselines.get(&key(1)), Some(baseline(7, 7)));
        assert_eq!(baselines.get(&key(2)), None);
        baselines.age();
        assert_eq!(heap_bytes(&baselines), empty);
    }

    #[test]
    fn full_shelf_forgets_who_is_silent_for_longest() {
        let mut shelf = Shelf::default();
        let entry = |number: u64| Entry {
            tag: pack(number).expect("small"),
            uploaded: [0; COUNTER],
            downloaded: [0; COUNTER],
        };
        (0..SHELF_MAX as u64).for_each(|number| shelf.push(entry(number)));
        shelf.age();
        shelf.remove(entry(0).tag);
        shelf.push(entry(0));
        shelf.push(entry(1000));
        let tags: Vec<_> = shelf
            .entries
            .iter()
            .map(|entry| unpack(entry.tag))
            .collect();
        assert_eq!(tags.len(), SHELF_MAX);
        assert_eq!(
            (tags[0], tags[SHELF_MAX - 2], tags[SHELF_MAX - 1]),
            (2, 0, 1000)
        );
        shelf.age();
        assert_eq!(shelf.entries.len(), 2);
    }

    proptest! {
        /// Against a map of keys, and the times at which they were last put.
        #[test]
        fn it_remembers_what_a_plain_map_does(
            steps in proptest::collection::vec((0u32..20, 0u64..5, 0u8..8), 1..300)
        ) {
            let mut baselines = Baselines::default();
            let mut model = HashMap::new();
            let mut epoch = 0;
            for (user, counter, what) in steps {
                match what {
                    0 => {
                        baselines.age();
                        model.retain(|_, (_, put)| *put == epoch);
                        epoch += 1;
                    }
                    1 => {
                        baselines.forget(&key(user));
                        model.remove(&user);
                    }
                    _ => {
                        baselines.put(key(user), baseline(counter, 1));
                        model.insert(user, (baseline(counter, 1), epoch));
                    }
                }
                for user in 0..20 {
                    let expected = model.get(&user).map(|(baseline, _)| *baseline);
                    prop_assert_eq!(baselines.get(&key(user)), expected);
                }
            }
        }
    }
}
