//! A batch added up: which rows to write, with what in them. No IO.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use economy::window::Counted;
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::SessionKey;
use tracker_core::registry::UserClass;

use super::policies::Policies;
use super::{Applied, Baselines, Batch, SessionChange, Stored};
use crate::columns::COUNT_MAX;

#[derive(Default)]
pub(super) struct Plan<'a> {
    /// Whose batch it is.
    writer: i64,
    /// All changes of classes from here on are known.
    pub(super) since: UnixTime,
    /// Sessions that the database has, by key.
    pub(super) updates: Vec<SessionRow<'a>>,
    /// Sessions that are new to it, by key.
    pub(super) inserts: Vec<SessionRow<'a>>,
    /// By user and torrent, each pair once.
    pub(super) snatches: Vec<Snatch>,
    pub(super) traffic: Traffic,
    pub(super) users: Totals<UserId>,
    pub(super) torrents: Totals<TorrentId>,
    pub(super) set_aside: Vec<SetAside<'a>>,
    pub(super) applied: Applied,
}

/// A session to write.
pub(super) struct SessionRow<'a> {
    pub(super) change: &'a SessionChange,
    /// The baseline that the growth was reckoned from. A new session's is its first report.
    pub(super) from: Baseline,
    /// Whose journal that one came from.
    pub(super) from_writer: i64,
    pub(super) growth: Counters,
    /// The same, announce by announce.
    steps: Vec<Step>,
    pub(super) baseline: Baseline,
    /// Nothing in it is news.
    is_late: bool,
}

/// What a session grew by from one announce to another.
struct Step {
    /// `None`: it isn't known when that was, and doesn't matter.
    from: Option<UnixTime>,
    to: UnixTime,
    growth: Counters,
}

/// What was moved, by hour, member, torrent and the member's class: `None` for the one that they have.
pub(super) type Traffic = BTreeMap<(u32, UserId, TorrentId, Option<UserClass>), Moved>;

#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) growth: Counters,
    /// As policies have it.
    pub(super) counted: Counted,
}

/// What a session's growth is reckoned from.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// What memory holds of it, taken for this tracker's own; the write finds out if it isn't.
    Hint(Baseline),
    /// What was read.
    Stored(Stored),
}

/// Somebody finished a torrent, perhaps not for the first time.
pub(super) struct Snatch {
    pub(super) user: UserId,
    pub(super) torrent: TorrentId,
    pub(super) at: UnixTime,
}

/// A session that isn't applied, and why.
pub(super) struct SetAside<'a> {
    pub(super) change: &'a SessionChange,
    pub(super) last: Counters,
    /// What it would have earned; `None` can't be told.
    pub(super) growth: Option<Counters>,
    pub(super) reason: &'a str,
    pub(super) at: UnixTime,
}

/// What to add to rows, in the order of their numbers. A row that nothing is added to isn't here.
pub(super) type Totals<Id> = BTreeMap<Id, Gain>;

#[derive(Clone, Copy, Default)]
pub(super) struct Gain {
    pub(super) growth: Counters,
    /// As policies have it, for a member.
    pub(super) counted: Counted,
    /// The first and the last hour of a member's traffic in the batch.
    pub(super) hours: Option<(u32, u32)>,
    /// When a member's class changed last, as far as the policies know.
    pub(super) class_changed_at: UnixTime,
    /// Snatches, for a torrent.
    pub(super) completed: u32,
}

pub(super) fn keys(sessions: &[SessionChange]) -> Vec<SessionKey> {
    sessions.iter().map(|change| change.key).collect()
}

/// Those that memory doesn't know, and those of which it doesn't know enough.
pub(super) fn keys_to_read(batch: &Batch, policies: &Policies) -> Vec<SessionKey> {
    let is_unknown =
        |change: &&SessionChange| change.known.is_none() || policies.ask_for_time(change, batch);
    batch
        .sessions
        .iter()
        .filter(is_unknown)
        .map(|change| change.key)
        .collect()
}

pub(super) fn users(sessions: &[SessionChange]) -> Vec<UserId> {
    // Sorted by key, so a user's sessions stand together.
    let mut users: Vec<UserId> = sessions.iter().map(|change| change.key.user).collect();
    users.dedup();
    users
}

pub(super) fn torrents(sessions: &[SessionChange]) -> Vec<TorrentId> {
    let torrents: BTreeSet<TorrentId> = sessions.iter().map(|change| change.key.torrent).collect();
    torrents.into_iter().collect()
}

impl<'a> Plan<'a> {
    /// Takes `stored` for what is stored, and the hints for the sessions that weren't looked up.
    pub(super) fn trusting(batch: &'a Batch, stored: &Baselines, policies: &Policies) -> Self {
        let mut plan = Self::new(batch);
        plan.since = policies.since;
        for change in &batch.sessions {
            plan.apply(change, Known::stored_or_hint(change, stored), policies);
        }
        plan.merge_snatches();
        plan
    }

    /// Takes nothing for stored but `stored`, and sets aside the sessions of users and torrents that are missing.
    pub(super) fn careful(
        batch: &'a Batch,
        stored: &Baselines,
        missing_users: &HashSet<UserId>,
        missing_torrents: &HashSet<TorrentId>,
        policies: &Policies,
    ) -> Self {
        let latest = batch.sessions.iter().map(|change| change.announced_at);
        let at = latest.max().unwrap_or_default();
        let mut plan = Self::new(batch);
        plan.since = policies.since;
        for change in &batch.sessions {
            let from = stored.get(&change.key).copied().map(Known::Stored);
            let SessionKey { user, torrent, .. } = change.key;
            let reason = match (
                missing_users.contains(&user),
                missing_torrents.contains(&torrent),
            ) {
                (false, false) => {
                    plan.apply(change, from, policies);
                    continue;
                }
                (true, _) => "there is no such user",
                (false, true) => "there is no such torrent",
            };
            let growth = SessionRow::reckon(change, from, plan.writer).growth;
            plan.set_aside(change, Some(growth), reason, at);
        }
        plan.merge_snatches();
        plan
    }

    /// Applies none of it.
    pub(super) fn setting_aside(batch: &'a Batch, reason: &'a str, at: UnixTime) -> Self {
        let mut plan = Self::new(batch);
        for change in &batch.sessions {
            // What is stored may be just what can't be read. The hint isn't checked, but likely to be right.
            let known = Known::hint(change);
            let reckon = |known| SessionRow::reckon(change, Some(known), plan.writer);
            let growth = known.map(|known| reckon(known).growth);
            plan.set_aside(change, growth, reason, at);
        }
        plan
    }

    fn new(batch: &Batch) -> Self {
        let mut plan = Self {
            writer: batch.mark.writer(),
            ..Self::default()
        };
        plan.updates.reserve(batch.sessions.len());
        plan.applied.baselines.reserve(batch.sessions.len());
        plan
    }

    fn apply(&mut self, change: &'a SessionChange, from: Option<Known>, policies: &Policies) {
        let row = SessionRow::reckon(change, from, self.writer);
        let SessionKey { user, torrent, .. } = change.key;
        if let Some(at) = change.completed_at {
            self.snatches.push(Snatch { user, torrent, at });
            // Nothing may be added, but the user has to be there.
            self.gain(user, policies);
        }
        for step in &row.steps {
            let from = step.from.unwrap_or(step.to);
            let hour = step.to.0 / 3600;
            let gain = self
                .users
                .entry(user)
                .or_insert_with(|| Gain::of(user, policies));
            let hours = gain.hours.unwrap_or((hour, hour));
            gain.hours = Some((hours.0.min(hour), hours.1.max(hour)));
            policies.count(&change.key, step.growth, from, step.to, |part| {
                let key = (hour, user, torrent, part.class);
                let moved = self.traffic.entry(key).or_default();
                moved.growth = moved.growth.saturating_add(part.growth);
                moved.counted = moved.counted.saturating_add(part.counted);
                gain.counted = gain.counted.saturating_add(part.counted);
            });
        }
        if row.growth != Counters::default() {
            self.gain(user, policies).add(row.growth);
            self.torrents.entry(torrent).or_default().add(row.growth);
            self.applied.growth = self.applied.growth.saturating_add(row.growth);
        }
        self.applied.baselines.push(Some(row.baseline));
        match from {
            // What another tracker has of it is newer in every respect.
            Some(_) if row.is_late => {}
            Some(_) => self.updates.push(row),
            None => self.inserts.push(row),
        }
    }

    fn gain(&mut self, user: UserId, policies: &Policies) -> &mut Gain {
        let gain = self.users.entry(user);
        gain.or_insert_with(|| Gain::of(user, policies))
    }

    fn set_aside(
        &mut self,
        change: &'a SessionChange,
        growth: Option<Counters>,
        reason: &'a str,
        at: UnixTime,
    ) {
        self.applied.baselines.push(None);
        self.applied.set_aside += 1;
        self.set_aside.push(SetAside {
            change,
            last: change.rest.last().unwrap_or(&change.first).counters,
            growth,
            reason,
            at,
        });
    }

    /// Two clients of one member, say: the earlier one counts.
    fn merge_snatches(&mut self) {
        self.snatches
            .sort_by_key(|snatch| (snatch.user, snatch.torrent, snatch.at));
        self.snatches
            .dedup_by_key(|snatch| (snatch.user, snatch.torrent));
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

impl<'a> SessionRow<'a> {
    /// Replays what a session reported over where the database left it.
    fn reckon(change: &'a SessionChange, from: Option<Known>, writer: i64) -> Self {
        let from_writer = from.map_or(writer, |from| from.writer(writer));
        let newer = from.and_then(|from| from.last_word_to_another(writer));
        let mut before = from.and_then(Known::announced_at);
        // A first sight earns nothing: to observe the baseline itself adds nothing to it.
        let from = from.map_or(
            Baseline::starting_at(change.first.counters),
            Known::baseline,
        );
        let from = Baseline {
            counters: storable(from.counters),
            ..from
        };
        let mut row = Self {
            change,
            from,
            from_writer,
            growth: Counters::default(),
            steps: Vec::new(),
            baseline: from,
            is_late: true,
        };
        for observation in [&change.first].into_iter().chain(&change.rest) {
            // What the session said afterwards had these bytes in it.
            if newer.is_some_and(|newer| observation.at <= newer) {
                continue;
            }
            let reported = storable(observation.counters);
            let growth = row.baseline.observe(reported, observation.event);
            row.growth = row.growth.saturating_add(growth);
            if growth != Counters::default() {
                row.steps.push(Step {
                    from: before,
                    to: observation.at,
                    growth,
                });
            }
            before = Some(observation.at);
            row.is_late = false;
        }
        row
    }
}

impl Known {
    fn hint(change: &SessionChange) -> Option<Self> {
        change.known.map(Self::Hint)
    }

    fn stored_or_hint(change: &SessionChange, stored: &Baselines) -> Option<Self> {
        let stored = stored.get(&change.key).copied().map(Self::Stored);
        stored.or_else(|| Self::hint(change))
    }

    fn announced_at(self) -> Option<UnixTime> {
        match self {
            Self::Hint(_) => None,
            Self::Stored(stored) => Some(stored.announced_at),
        }
    }

    fn baseline(self) -> Baseline {
        match self {
            Self::Hint(baseline) => baseline,
            Self::Stored(stored) => stored.baseline,
        }
    }

    fn writer(self, own: i64) -> i64 {
        match self {
            Self::Hint(_) => own,
            Self::Stored(stored) => stored.written_by,
        }
    }

    /// When the session last announced to another tracker, if that was its last word.
    fn last_word_to_another(self, writer: i64) -> Option<UnixTime> {
        match self {
            Self::Stored(stored) if stored.written_by != writer => Some(stored.announced_at),
            _ => None,
        }
    }
}

impl Gain {
    /// Nothing yet.
    fn of(user: UserId, policies: &Policies) -> Self {
        Self {
            class_changed_at: policies.class_changed_at(user),
            ..Self::default()
        }
    }

    fn add(&mut self, growth: Counters) {
        self.growth = self.growth.saturating_add(growth);
    }
}

/// As the database will keep it: to reckon with more would come to something else than to read it back first.
fn storable(counters: Counters) -> Counters {
    Counters {
        uploaded: counters.uploaded.min(COUNT_MAX),
        downloaded: counters.downloaded.min(COUNT_MAX),
    }
}
