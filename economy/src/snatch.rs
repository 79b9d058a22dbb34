//! Hit-and-run: who takes a torrent gives it back, by seeding it for a time or by uploading a share of it, within some days.

use tracker_core::ids::UnixTime;

use crate::{DAY_SECS, HOUR_SECS, days_after};

/// What each snatch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HitAndRun {
    /// Whether anybody looks.
    pub enabled: bool,
    /// Hours of seeding that satisfy it.
    pub min_seed_hours: u32,
    /// Uploaded over size, times 1000, that satisfies it as well; 0: only seeding does.
    pub min_ratio_milli: u32,
    /// Days after completion that there are for it.
    pub within_days: u32,
    /// Days before their end from which on the member is warned.
    pub warn_before_days: u32,
    /// Hit-and-runs that a member may have open and still leech.
    pub max_open: u32,
}

impl HitAndRun {
    /// Whether a member with so many open hit-and-runs may still leech.
    pub fn may_leech(&self, open_hit_and_runs: u64) -> bool {
        !self.enabled || open_hit_and_runs <= self.max_open.into()
    }
}

/// What a member did with a torrent that they completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snatch {
    /// When they had all of it.
    pub completed_at: UnixTime,
    /// Bytes.
    pub size: u64,
    /// Bytes that they uploaded of this torrent.
    pub uploaded: u64,
    /// Seconds that they seeded it.
    pub seed_secs: u64,
    /// Whether they are seeding it right now.
    pub is_seeding: bool,
    /// Whether it was bought free in the shop, or forgiven.
    pub settled: bool,
}

/// Where a snatch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnatchState {
    /// It is given back.
    Satisfied,
    /// There is time.
    Open {
        /// Until when.
        until: UnixTime,
        /// Seconds of seeding that it takes.
        missing_secs: u64,
    },
    /// There is little time left: or none, but the member is seeding.
    Warned {
        /// Until when.
        until: UnixTime,
        /// Seconds of seeding that it takes.
        missing_secs: u64,
    },
    /// The time is over. Seeding still mends it: it is [`SnatchState::Warned`] while that lasts, and satisfied at its end.
    HitAndRun {
        /// When the time was over.
        since: UnixTime,
        /// Seconds of seeding that it takes.
        missing_secs: u64,
    },
}

/// Where a snatch is now. Who is seeding right now isn't running: after the time is over they stay warned, and it is a
/// hit-and-run when they stop too early.
pub fn judge_snatch(rules: &HitAndRun, snatch: &Snatch, now: UnixTime) -> SnatchState {
    let needed_secs = u64::from(rules.min_seed_hours) * HOUR_SECS;
    let missing_secs = needed_secs.saturating_sub(snatch.seed_secs);
    let gave_back = rules.min_ratio_milli > 0
        && u128::from(snatch.uploaded) * 1000
            >= u128::from(snatch.size) * u128::from(rules.min_ratio_milli);
    if !rules.enabled || snatch.settled || missing_secs == 0 || gave_back {
        return SnatchState::Satisfied;
    }
    let until = days_after(snatch.completed_at, rules.within_days);
    let warn_secs = rules.warn_before_days.saturating_mul(DAY_SECS);
    if now >= until && !snatch.is_seeding {
        let since = until;
        SnatchState::HitAndRun {
            since,
            missing_secs,
        }
    } else if until.secs_since(now) <= warn_secs {
        SnatchState::Warned {
            until,
            missing_secs,
        }
    } else {
        SnatchState::Open {
            until,
            missing_secs,
        }
    }
}
