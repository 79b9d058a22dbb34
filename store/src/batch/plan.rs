//! A batch added up: which rows to write, with what in them. No IO.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::SessionKey;

use super::{Applied, Batch, Observation, SessionChange, SessionGrowth};

pub(super) struct Plan<'a> {
    /// By key.
    pub(super) sessions: Vec<SessionRow<'a>>,
    /// By user and torrent, each pair once.
    pub(super) snatches: Vec<Snatch>,
    pub(super) users: Totals<UserId>,
    pub(super) torrents: Totals<TorrentId>,
    pub(super) applied: Applied,
}

/// A session to write, its growth resolved.
pub(super) struct SessionRow<'a> {
    pub(super) change: &'a SessionChange,
    pub(super) growth: Counters,
    pub(super) baseline: Baseline,
}

/// Somebody finished a torrent, perhaps not for the first time.
pub(super) struct Snatch {
    pub(super) user: UserId,
    pub(super) torrent: TorrentId,
    pub(super) at: UnixTime,
}

/// What to add to rows, in the order of their numbers. A row that nothing is added to isn't here.
pub(super) type Totals<Id> = BTreeMap<Id, Gain>;

#[derive(Clone, Copy, Default)]
pub(super) struct Gain {
    pub(super) growth: Counters,
    /// Snatches, for a torrent.
    pub(super) completed: u32,
}

pub(super) fn users_of(batch: &Batch) -> Vec<UserId> {
    // Sorted by key, so a user's sessions stand together.
    let mut users: Vec<UserId> = batch
        .sessions
        .iter()
        .map(|change| change.key.user)
        .collect();
    users.dedup();
    users
}

pub(super) fn torrents_of(batch: &Batch) -> Vec<TorrentId> {
    let torrents: BTreeSet<TorrentId> = batch
        .sessions
        .iter()
        .map(|change| change.key.torrent)
        .collect();
    torrents.into_iter().collect()
}

pub(super) fn unresolved_keys(batch: &Batch) -> Vec<SessionKey> {
    let unresolved =
        |change: &&SessionChange| matches!(change.growth, SessionGrowth::Unresolved(_));
    batch
        .sessions
        .iter()
        .filter(unresolved)
        .map(|change| change.key)
        .collect()
}

impl<'a> Plan<'a> {
    /// Adds up what is in the batch, leaving out the sessions of users and torrents that don't exist.
    pub(super) fn new(
        batch: &'a Batch,
        users: &HashSet<UserId>,
        torrents: &HashSet<TorrentId>,
        stored: &HashMap<SessionKey, Baseline>,
    ) -> Self {
        let mut plan = Self {
            sessions: Vec::with_capacity(batch.sessions.len()),
            snatches: Vec::new(),
            users: Totals::new(),
            torrents: Totals::new(),
            applied: Applied::default(),
        };
        for change in &batch.sessions {
            if users.contains(&change.key.user) && torrents.contains(&change.key.torrent) {
                plan.add(change, stored.get(&change.key).copied());
            } else {
                plan.applied.orphans += 1;
            }
        }
        plan.snatches
            .sort_by_key(|snatch| (snatch.user, snatch.torrent, snatch.at));
        // Two clients of one member, say: the earlier one counts.
        plan.snatches
            .dedup_by_key(|snatch| (snatch.user, snatch.torrent));
        plan
    }

    fn add(&mut self, change: &'a SessionChange, stored: Option<Baseline>) {
        let (growth, baseline) = match &change.growth {
            SessionGrowth::Known { growth, baseline } => (*growth, *baseline),
            SessionGrowth::Unresolved(observations) => {
                let (growth, baseline) = resolve(stored, observations);
                self.applied.resolved.push((change.key, baseline));
                (growth, baseline)
            }
        };
        self.sessions.push(SessionRow {
            change,
            growth,
            baseline,
        });
        if let Some(at) = change.completed_at {
            let SessionKey { user, torrent, .. } = change.key;
            self.snatches.push(Snatch { user, torrent, at });
        }
        if growth != Counters::default() {
            self.users.entry(change.key.user).or_default().add(growth);
            self.torrents
                .entry(change.key.torrent)
                .or_default()
                .add(growth);
            self.applied.growth = self.applied.growth.saturating_add(growth);
        }
    }

    /// Takes the torrents of the snatches that turned out to be new.
    pub(super) fn count_snatches(&mut self, snatched: &[TorrentId]) {
        let mut counts: BTreeMap<TorrentId, u32> = BTreeMap::new();
        for torrent in snatched {
            *counts.entry(*torrent).or_default() += 1;
            self.torrents.entry(*torrent).or_default().completed += 1;
        }
        self.applied.snatches = counts.into_iter().collect();
    }
}

impl Gain {
    fn add(&mut self, growth: Counters) {
        self.growth = self.growth.saturating_add(growth);
    }
}

/// Replays what a session reported over where the database left it.
fn resolve(stored: Option<Baseline>, observations: &[Observation]) -> (Counters, Baseline) {
    debug_assert!(
        !observations.is_empty(),
        "an unresolved session has announced"
    );
    let first = observations.first().map(|first| first.counters);
    // A first sight earns nothing: to observe the baseline itself adds nothing to it.
    let mut baseline = stored.unwrap_or_else(|| Baseline::starting_at(first.unwrap_or_default()));
    let mut growth = Counters::default();
    for observation in observations {
        growth = growth.saturating_add(baseline.observe(observation.counters, observation.started));
    }
    (growth, baseline)
}
