//! Who is downloading and seeding what: one swarm per info hash, in a sharded map.
//!
//! An announce takes the lock of one shard, and under it also writes its record to the outbox, so that a session's
//! records leave in the order in which they happened. Whoever walks over all swarms takes one of them at a time.

use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::one::MappedRefMut;
use foldhash::fast::RandomState;
use rand::rngs::SmallRng;

use crate::ids::{InfoHash, TorrentId, UnixTime, UserId};
use crate::record::{Record, Role};
use crate::registry::{RegisteredTorrent, TorrentStatus};
use crate::reply::Counts;
use crate::session::StoredSession;

mod crowd;
mod peer;
mod row;
pub(crate) mod sample;
mod slots;
pub(crate) mod torrent;

use peer::Peer;
pub use sample::{PeerFormat, PeerList};
pub(crate) use slots::Slots;
pub(crate) use torrent::{Rules, Torrent, Visitor};

/// Many more shards than cores: two announces seldom want the same one, and a walk holds little at a time.
const SHARDS: usize = 256;

/// Peers looked at under one lock by a sweep: some tens of microseconds.
const SWEEP_BUDGET: usize = 1024;

#[derive(Debug)]
enum Entry {
    Swarm(Torrent),
    /// A hybrid's second hash (BEP 52): see there.
    Alias(InfoHash),
}

type SwarmGuard<'a> = MappedRefMut<'a, InfoHash, Entry, Torrent>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hashes {
    first: InfoHash,
    v2: Option<InfoHash>,
}

/// All swarms.
#[derive(Debug)]
pub struct Swarms {
    entries: DashMap<InfoHash, Entry, RandomState>,
    hashes: DashMap<TorrentId, Hashes, RandomState>,
    /// Peers by role, in the order of `Role`.
    population: [AtomicI64; 3],
    /// Downloads by member.
    pub(crate) slots: Slots,
}

impl Default for Swarms {
    fn default() -> Self {
        Self {
            entries: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            hashes: DashMap::default(),
            population: Default::default(),
            slots: Slots::default(),
        }
    }
}

impl Swarms {
    /// Calls `visit` with the swarm locked; `None` when the hash is unknown. Keep it short, and don't come back here.
    pub(crate) fn with<T>(
        &self,
        hash: &InfoHash,
        visit: impl FnOnce(&mut Torrent) -> T,
    ) -> Option<T> {
        self.lock(hash)
            .map(|mut torrent| self.counted(&mut torrent, visit))
    }

    /// The same, and an unknown hash gets an unregistered swarm.
    pub(crate) fn with_any<T>(&self, hash: &InfoHash, visit: impl FnOnce(&mut Torrent) -> T) -> T {
        loop {
            if let Some(mut torrent) = self.lock(hash) {
                return self.counted(&mut torrent, visit);
            }
            // A sweep may take the empty swarm away before we are back at it: then once more.
            self.entries
                .entry(*hash)
                .or_insert_with(|| Entry::Swarm(Torrent::new(None, TorrentStatus::Open, 0)));
        }
    }

    /// What a scrape says; `None` for a torrent that isn't there for members, or isn't the `only` one asked for.
    pub fn counts(&self, hash: &InfoHash, only: Option<TorrentId>) -> Option<Counts> {
        let torrent = self.lock(hash)?;
        let is_open = torrent.status != TorrentStatus::Closed;
        (is_open && (only.is_none() || only == torrent.id)).then(|| torrent.counts())
    }

    /// What a scrape without a key says: `None` for a torrent that isn't there, and for one that is registered.
    pub(crate) fn unregistered_counts(&self, hash: &InfoHash) -> Option<Counts> {
        let torrent = self.lock(hash)?;
        torrent.id.is_none().then(|| torrent.counts())
    }

    /// Takes a torrent's present state in place of whatever was known. Its peers stay.
    pub fn put_torrent(&self, torrent: &RegisteredTorrent) {
        let hashes = Hashes {
            first: torrent.info_hash,
            v2: torrent.info_hash_v2,
        };
        let before = self.hashes.insert(torrent.id, hashes);
        if let Some(before) = before.filter(|before| *before != hashes) {
            self.forget(before, torrent.id);
        }
        self.with_any(&hashes.first, |swarm| swarm.register(torrent, &self.slots));
        if let Some(v2) = hashes.v2 {
            let replaced = self.entries.insert(v2, Entry::Alias(hashes.first));
            self.uncount(replaced);
        }
    }

    /// The torrent is gone from the database: its swarm goes too.
    pub fn remove_torrent(&self, id: TorrentId) {
        if let Some((_, hashes)) = self.hashes.remove(&id) {
            self.forget(hashes, id);
        }
    }

    /// Brings back a session that the database knows; false when its torrent isn't there or it has announced already.
    pub fn restore(&self, stored: &StoredSession, max_clients: usize, rng: &mut SmallRng) -> bool {
        let restore = |torrent: &mut Torrent| {
            torrent.restore(Peer::restored(stored), max_clients, &self.slots, rng)
        };
        self.with_id(stored.key.torrent, restore).unwrap_or(false)
    }

    /// Does to the swarm what a journalled announce once did; nothing when its torrent is gone.
    pub fn replay(&self, record: &Record, max_clients: usize, rng: &mut SmallRng) {
        self.with_id(record.session.torrent, |torrent| {
            torrent.replay(record, max_clients, &self.slots, rng);
        });
    }

    /// The ledger has counted new snatches.
    pub fn add_completed(&self, id: TorrentId, snatches: u32) {
        self.with_id(id, |torrent| {
            torrent.completed = torrent.completed.saturating_add(snatches);
        });
    }

    /// Removes the peers not heard from since `oldest`, and those of members who aren't to stay. Never stops the world: each step holds one shard for at most
    /// 1,024 peers, and `pause` is called between steps.
    pub async fn sweep(
        &self,
        oldest: UnixTime,
        stays: impl Fn(UserId) -> bool,
        mut pause: impl AsyncFnMut(),
    ) {
        // All at once: else the list would be copied, as it grows, while a shard is locked.
        let mut hashes = Vec::with_capacity(self.entries.len());
        hashes.extend(self.entries.iter().map(|entry| *entry.key()));
        for hash in hashes {
            let mut from = Some(usize::MAX);
            while let Some(position) = from {
                let step = |torrent: &mut Torrent| {
                    torrent.sweep(position, SWEEP_BUDGET, oldest, &stays, &self.slots)
                };
                from = self.sweep_step(&hash, step);
                pause().await;
            }
            self.entries.remove_if(&hash, |_, entry| {
                matches!(entry, Entry::Swarm(torrent) if torrent.id.is_none() && torrent.is_empty())
            });
        }
    }

    /// Peers of a role, over all swarms.
    pub fn peers(&self, role: Role) -> u64 {
        let peers = self.population[role as usize].load(Ordering::Relaxed);
        u64::try_from(peers).unwrap_or_default()
    }

    /// Registered torrents.
    pub fn torrents(&self) -> usize {
        self.hashes.len()
    }

    fn lock(&self, hash: &InfoHash) -> Option<SwarmGuard<'_>> {
        let entry = self.entries.get_mut(hash)?;
        let entry = match *entry {
            Entry::Swarm(_) => entry,
            Entry::Alias(first) => {
                drop(entry);
                self.entries.get_mut(&first)?
            }
        };
        entry
            .try_map(|entry| match entry {
                Entry::Swarm(torrent) => Some(torrent),
                Entry::Alias(_) => None,
            })
            .ok()
    }

    /// An alias is passed over: its swarm is swept under its own hash. A guard can't live across the pause.
    fn sweep_step(
        &self,
        hash: &InfoHash,
        step: impl FnOnce(&mut Torrent) -> Option<usize>,
    ) -> Option<usize> {
        match self.entries.get_mut(hash).as_deref_mut() {
            Some(Entry::Swarm(torrent)) => self.counted(torrent, step),
            _ => None,
        }
    }

    fn with_id<T>(&self, id: TorrentId, visit: impl FnOnce(&mut Torrent) -> T) -> Option<T> {
        let hash = self.hashes.get(&id).map(|hashes| hashes.first)?;
        self.with(&hash, visit)
    }

    /// Keeps the population in step with what `visit` does to one swarm.
    fn counted<T>(&self, torrent: &mut Torrent, visit: impl FnOnce(&mut Torrent) -> T) -> T {
        let before = torrent.counts();
        let result = visit(torrent);
        let after = torrent.counts();
        if before != after {
            self.recount(before, after);
        }
        result
    }

    fn recount(&self, before: Counts, after: Counts) {
        let roles =
            |counts: Counts| [counts.leechers(), counts.complete, counts.partial].map(i64::from);
        let (before, after) = (roles(before), roles(after));
        for (total, (before, after)) in self.population.iter().zip(before.into_iter().zip(after)) {
            // All cores share the totals: to write one that stays would take it from the others.
            if before != after {
                total.fetch_add(after - before, Ordering::Relaxed);
            }
        }
    }

    fn forget(&self, hashes: Hashes, id: TorrentId) {
        let removed = self.entries.remove_if(
            &hashes.first,
            |_, entry| matches!(entry, Entry::Swarm(torrent) if torrent.id == Some(id)),
        );
        self.uncount(removed.map(|(_, entry)| entry));
        if let Some(v2) = hashes.v2 {
            self.entries.remove_if(
                &v2,
                |_, entry| matches!(entry, Entry::Alias(first) if *first == hashes.first),
            );
        }
    }

    fn uncount(&self, gone: Option<Entry>) {
        if let Some(Entry::Swarm(torrent)) = gone {
            self.recount(torrent.counts(), Counts::default());
            torrent.give_back_slots(&self.slots);
        }
    }
}

#[cfg(test)]
mod tests;
