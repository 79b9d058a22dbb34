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
    /// Whether it was settled in the shop, or forgiven.
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

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: HitAndRun = HitAndRun {
        enabled: true,
        min_seed_hours: 72,
        min_ratio_milli: 1000,
        within_days: 14,
        warn_before_days: 3,
        max_open: 2,
    };
    const NEEDED: u64 = 72 * HOUR_SECS;
    const DONE: UnixTime = UnixTime(1_000_000_000);

    fn snatch() -> Snatch {
        Snatch {
            completed_at: DONE,
            size: 1000,
            uploaded: 0,
            seed_secs: 0,
            is_seeding: false,
            settled: false,
        }
    }

    fn after(secs: u32) -> UnixTime {
        UnixTime(DONE.0 + secs)
    }

    const UNTIL_SECS: u32 = 14 * DAY_SECS;
    const WARNED_SECS: u32 = 11 * DAY_SECS;

    /// Each row: seconds after completion, whether they are seeding, and where the snatch is.
    #[test]
    fn a_snatch_is_open_then_warned_then_a_hit_and_run() {
        let until = after(UNTIL_SECS);
        let missing_secs = NEEDED;
        let open = SnatchState::Open {
            until,
            missing_secs,
        };
        let warned = SnatchState::Warned {
            until,
            missing_secs,
        };
        let run = SnatchState::HitAndRun {
            since: until,
            missing_secs,
        };
        let table = [
            ("just completed", 0, false, open),
            ("a second before the warning", WARNED_SECS - 1, false, open),
            ("the warning", WARNED_SECS, false, warned),
            ("the warning, seeding", WARNED_SECS, true, warned),
            ("the last second", UNTIL_SECS - 1, false, warned),
            ("the time is over", UNTIL_SECS, false, run),
            ("the time is over, and they seed", UNTIL_SECS, true, warned),
            ("long over, and they seed", 400 * DAY_SECS, true, warned),
            ("long over", 400 * DAY_SECS, false, run),
        ];
        for (name, secs, is_seeding, expected) in table {
            let snatch = Snatch {
                is_seeding,
                ..snatch()
            };
            assert_eq!(
                judge_snatch(&RULES, &snatch, after(secs)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn seeding_or_ratio_or_the_shop_satisfies_it() {
        let only_seeding = HitAndRun {
            min_ratio_milli: 0,
            ..RULES
        };
        let half = HitAndRun {
            min_ratio_milli: 500,
            ..RULES
        };
        let off = HitAndRun {
            enabled: false,
            ..RULES
        };
        // Rules, size, uploaded, seed seconds, settled, and the seconds missing: none if it is satisfied.
        let table = [
            ("nothing", RULES, 1000, 0, 0, false, Some(NEEDED)),
            (
                "a second too little",
                RULES,
                1000,
                0,
                NEEDED - 1,
                false,
                Some(1),
            ),
            ("seeded", RULES, 1000, 0, NEEDED, false, None),
            ("seeded longer", RULES, 1000, 0, u64::MAX, false, None),
            (
                "a byte too little",
                RULES,
                1000,
                999,
                0,
                false,
                Some(NEEDED),
            ),
            ("uploaded", RULES, 1000, 1000, 0, false, None),
            (
                "half a byte too little",
                half,
                1001,
                500,
                0,
                false,
                Some(NEEDED),
            ),
            ("half uploaded", half, 1001, 501, 0, false, None),
            (
                "uploaded, where only seeding counts",
                only_seeding,
                1000,
                9999,
                0,
                false,
                Some(NEEDED),
            ),
            ("a torrent of no bytes", RULES, 0, 0, 0, false, None),
            (
                "the largest",
                RULES,
                u64::MAX,
                u64::MAX - 1,
                0,
                false,
                Some(NEEDED),
            ),
            ("settled", RULES, 1000, 0, 0, true, None),
            ("nobody looks", off, 1000, 0, 0, false, None),
        ];
        for (name, rules, size, uploaded, seed_secs, settled, expected) in table {
            let snatch = Snatch {
                size,
                uploaded,
                seed_secs,
                settled,
                ..snatch()
            };
            let missing = match judge_snatch(&rules, &snatch, after(UNTIL_SECS)) {
                SnatchState::Satisfied => None,
                SnatchState::HitAndRun { missing_secs, .. } => Some(missing_secs),
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(missing, expected, "{name}");
        }
    }

    #[test]
    fn a_warning_of_no_days_comes_to_those_who_seed_beyond_the_end() {
        let rules = HitAndRun {
            warn_before_days: 0,
            ..RULES
        };
        let at = |secs, is_seeding| {
            let snatch = Snatch {
                is_seeding,
                ..snatch()
            };
            judge_snatch(&rules, &snatch, after(secs))
        };
        assert!(matches!(
            at(UNTIL_SECS - 1, false),
            SnatchState::Open { .. }
        ));
        assert!(matches!(
            at(UNTIL_SECS, false),
            SnatchState::HitAndRun { .. }
        ));
        assert!(matches!(at(UNTIL_SECS, true), SnatchState::Warned { .. }));
    }

    #[test]
    fn leech_rights_go_beyond_so_many() {
        assert!(RULES.may_leech(0));
        assert!(RULES.may_leech(2));
        assert!(!RULES.may_leech(3));
        let off = HitAndRun {
            enabled: false,
            ..RULES
        };
        assert!(off.may_leech(3));
    }

    /// Times stay at their end in 2106, and don't wrap round into the past.
    #[test]
    fn near_the_end_of_time_nobody_is_judged_early() {
        let snatch = Snatch {
            completed_at: UnixTime(u32::MAX - 10),
            ..snatch()
        };
        let state = judge_snatch(&RULES, &snatch, UnixTime(u32::MAX - 1));
        assert!(matches!(state, SnatchState::Warned { .. }), "{state:?}");
    }
}
