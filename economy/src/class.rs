//! Classes: what each asks for and gives, who goes up, who goes down.
//!
//! Whoever meets all that a class asks for is in it or above. Going up happens at once, and may skip a class. Who no longer
//! meets their own class's rules has the grace time to mend it, and goes down one class after it. As a class asks for no
//! less than the class below it ([`crate::policy`] sees to that), nobody goes round in circles.

use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use crate::policy::Policy;
use crate::{DAY_SECS, HOUR_SECS, days_after};

/// What a class asks for, and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassRules {
    /// Days of 86,400 seconds since the member joined.
    pub min_age_days: u32,
    /// Bytes.
    pub min_uploaded: u64,
    /// Uploaded over downloaded, times 1000. Who downloaded nothing has enough.
    pub min_ratio_milli: u32,
    /// Hours of seeding, all torrents together.
    pub min_seed_hours: u32,
    /// Torrents that the member has added to the site.
    pub min_torrents: u32,
    /// Whether an open hit-and-run stands in the way.
    pub no_open_hit_and_run: bool,
    /// What the class gives.
    pub privileges: Privileges,
}

/// What a class gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Torrents that may be downloaded at the same time; 0: no limit.
    pub download_slots: u32,
    /// Invites, given when a member first comes to the class: not again to who fell and rose.
    pub invites: u32,
    /// What an uploaded byte earns: 100 to 1000.
    pub upload_percent: u16,
    /// Days until an unused freeleech token is worth nothing; 0: never.
    pub token_days: u32,
    /// Requests to the API; 0: no limit beside the site's `api.requests_per_minute` for each address.
    pub requests_per_minute: u32,
}

/// What a member has, and whether it was too little lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The class they are in.
    pub class: UserClass,
    /// Seconds since they joined.
    pub age_secs: u32,
    /// Bytes.
    pub uploaded: u64,
    /// Uploaded over downloaded, times 1000, rounded down. `None`: nothing downloaded.
    pub ratio_milli: Option<u64>,
    /// Seconds of seeding, all torrents together.
    pub seed_secs: u64,
    /// Torrents that they have added to the site.
    pub torrents: u64,
    /// Snatches that are [hit-and-runs](crate::snatch::SnatchState::HitAndRun).
    pub open_hit_and_runs: u64,
    /// Since when they don't meet their class's rules: what [`Verdict::Below`] said.
    pub below_since: Option<UnixTime>,
}

/// What becomes of a member's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Stay,
    /// They go up, and whatever was `below_since` is forgotten.
    Promote(UserClass),
    /// They were below their class's rules, and no longer are.
    Recovered,
    /// They are below their class's rules, and still in it.
    Below {
        /// Since when: to be remembered as [`Standing::below_since`].
        since: UnixTime,
        /// When they go down, unless they mend it.
        demotion_at: UnixTime,
    },
    /// They go down, and `below_since` is forgotten: for the next class the grace time begins anew.
    Demote(UserClass),
}

/// What becomes of a member's class now.
pub fn judge(policy: &Policy, standing: &Standing, now: UnixTime) -> Verdict {
    let meets = |class: UserClass| missing(policy, standing, class).is_empty();
    let above = UserClass::ALL.into_iter().rev();
    if let Some(class) = above
        .take_while(|class| *class > standing.class)
        .find(|class| meets(*class))
    {
        return Verdict::Promote(class);
    }
    let Some(lower) = class_below(standing.class).filter(|_| !meets(standing.class)) else {
        return match standing.below_since {
            Some(_) => Verdict::Recovered,
            None => Verdict::Stay,
        };
    };
    let since = standing.below_since.unwrap_or(now);
    let demotion_at = days_after(since, policy.demotion_grace_days);
    if now >= demotion_at {
        Verdict::Demote(lower)
    } else {
        Verdict::Below { since, demotion_at }
    }
}

/// What a member lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Of what: `age_days`, `uploaded`, `ratio_milli`, `seed_hours`, `torrents` or `open_hit_and_runs`.
    pub what: &'static str,
    /// What they have, rounded down.
    pub have: u64,
    /// What it takes: at least, but of open hit-and-runs at most.
    pub need: u64,
}

/// The next class, and what is missing for it: nothing, if it comes with the next [`judge`]. `None` in the highest.
pub fn missing_for_next(policy: &Policy, standing: &Standing) -> Option<(UserClass, Vec<Missing>)> {
    let next = UserClass::ALL
        .into_iter()
        .find(|class| *class > standing.class)?;
    Some((next, missing(policy, standing, next)))
}

fn missing(policy: &Policy, standing: &Standing, class: UserClass) -> Vec<Missing> {
    let rules = policy.class(class);
    let at_least = [
        (
            "age_days",
            u64::from(standing.age_secs / DAY_SECS),
            u64::from(rules.min_age_days),
        ),
        ("uploaded", standing.uploaded, rules.min_uploaded),
        (
            "ratio_milli",
            standing.ratio_milli.unwrap_or(u64::MAX),
            rules.min_ratio_milli.into(),
        ),
        (
            "seed_hours",
            standing.seed_secs / HOUR_SECS,
            rules.min_seed_hours.into(),
        ),
        ("torrents", standing.torrents, rules.min_torrents.into()),
    ];
    let mut missing: Vec<Missing> = at_least
        .into_iter()
        .filter(|(_, have, need)| have < need)
        .map(|(what, have, need)| Missing { what, have, need })
        .collect();
    if rules.no_open_hit_and_run && standing.open_hit_and_runs > 0 {
        missing.push(Missing {
            what: "open_hit_and_runs",
            have: standing.open_hit_and_runs,
            need: 0,
        });
    }
    missing
}

fn class_below(class: UserClass) -> Option<UserClass> {
    UserClass::ALL
        .into_iter()
        .rev()
        .find(|other| *other < class)
}

#[cfg(test)]
mod tests {
    use UserClass::{Elite, Member, Newbie, Trusted};

    use super::*;
    use crate::GIB;

    const NOW: UnixTime = UnixTime(2_000_000_000);
    const GRACE_SECS: u32 = 14 * DAY_SECS;

    /// Exactly what the default policy asks of a class, and not a byte more.
    fn just(class: UserClass) -> Standing {
        let policy = Policy::default();
        let rules = policy.class(class);
        Standing {
            class,
            age_secs: rules.min_age_days * DAY_SECS,
            uploaded: rules.min_uploaded,
            ratio_milli: Some(rules.min_ratio_milli.into()),
            seed_secs: u64::from(rules.min_seed_hours) * HOUR_SECS,
            torrents: rules.min_torrents.into(),
            open_hit_and_runs: 0,
            below_since: None,
        }
    }

    fn judged(standing: Standing) -> Verdict {
        judge(&Policy::default(), &standing, NOW)
    }

    type Change = fn(&mut Standing);

    /// One less than enough, of everything that a class may ask for.
    const ONE_LESS: [(&str, Change); 6] = [
        ("age_days", |it| it.age_secs -= 1),
        ("uploaded", |it| it.uploaded -= 1),
        ("ratio_milli", |it| {
            it.ratio_milli = it.ratio_milli.map(|ratio| ratio - 1);
        }),
        ("seed_hours", |it| it.seed_secs -= 1),
        ("torrents", |it| it.torrents -= 1),
        ("open_hit_and_runs", |it| it.open_hit_and_runs = 1),
    ];

    #[test]
    fn a_class_is_reached_to_the_second_and_the_byte() {
        for (class, lower) in [(Member, Newbie), (Trusted, Member), (Elite, Trusted)] {
            let enough = Standing {
                class: lower,
                ..just(class)
            };
            assert_eq!(judged(enough), Verdict::Promote(class));
        }
        for (what, take) in ONE_LESS {
            let mut standing = Standing {
                class: Trusted,
                ..just(Elite)
            };
            take(&mut standing);
            let verdict = judged(standing);
            assert!(
                matches!(verdict, Verdict::Stay | Verdict::Below { .. }),
                "{what}: {verdict:?}"
            );
            let (next, missing) =
                missing_for_next(&Policy::default(), &standing).expect("trusted isn't the highest");
            assert_eq!(next, Elite);
            let names: Vec<_> = missing.iter().map(|missing| missing.what).collect();
            assert_eq!(names, [what]);
            let Missing { have, need, .. } = missing[0];
            assert_eq!(have.abs_diff(need), 1, "{what}: {have} of {need}");
        }
    }

    #[test]
    fn going_up_may_skip_a_class_and_is_judged_before_grace() {
        let rich = Standing {
            class: Newbie,
            ..just(Elite)
        };
        assert_eq!(judged(rich), Verdict::Promote(Elite));
        let between = Standing {
            class: Newbie,
            torrents: 9,
            ..just(Elite)
        };
        assert_eq!(judged(between), Verdict::Promote(Trusted));
        let mended = Standing {
            class: Member,
            below_since: Some(UnixTime(1)),
            ..just(Trusted)
        };
        assert_eq!(judged(mended), Verdict::Promote(Trusted));
    }

    #[test]
    fn who_downloaded_nothing_has_ratio_enough() {
        let standing = Standing {
            class: Newbie,
            ratio_milli: None,
            ..just(Elite)
        };
        assert_eq!(judged(standing), Verdict::Promote(Elite));
    }

    /// Each row: what they are, what they have, since when they're below, and what becomes of it.
    #[test]
    fn who_falls_below_has_the_grace_time_and_goes_down_one() {
        let ago = |secs: u32| Some(UnixTime(NOW.0 - secs));
        let below = |secs: u32| Verdict::Below {
            since: UnixTime(NOW.0 - secs),
            demotion_at: UnixTime(NOW.0 - secs + GRACE_SECS),
        };
        let table = [
            ("enough", Elite, just(Elite), None, Verdict::Stay),
            (
                "too little, from now on",
                Elite,
                just(Trusted),
                None,
                below(0),
            ),
            (
                "a day of it",
                Elite,
                just(Trusted),
                ago(DAY_SECS),
                below(DAY_SECS),
            ),
            (
                "the last second of it",
                Elite,
                just(Trusted),
                ago(GRACE_SECS - 1),
                below(GRACE_SECS - 1),
            ),
            (
                "it is over",
                Elite,
                just(Trusted),
                ago(GRACE_SECS),
                Verdict::Demote(Trusted),
            ),
            (
                "it is over for who has nothing: one class at a time",
                Elite,
                just(Newbie),
                ago(2 * GRACE_SECS),
                Verdict::Demote(Trusted),
            ),
            (
                "mended",
                Elite,
                just(Elite),
                ago(GRACE_SECS),
                Verdict::Recovered,
            ),
            (
                "the lowest has nowhere to go",
                Newbie,
                just(Newbie),
                None,
                Verdict::Stay,
            ),
        ];
        for (name, class, have, below_since, expected) in table {
            let standing = Standing {
                class,
                below_since,
                ..have
            };
            assert_eq!(judged(standing), expected, "{name}");
        }
        for (what, take) in ONE_LESS {
            let mut standing = just(Elite);
            take(&mut standing);
            assert_eq!(judged(standing), below(0), "{what}");
        }
    }

    #[test]
    fn without_grace_who_falls_below_goes_at_once() {
        let policy = Policy {
            demotion_grace_days: 0,
            ..Policy::default()
        };
        let standing = Standing {
            class: Member,
            ..just(Newbie)
        };
        assert_eq!(judge(&policy, &standing, NOW), Verdict::Demote(Newbie));
    }

    /// As verdicts are carried out, they come to rest: with nothing as with everything, from wherever one begins.
    #[test]
    fn nobody_goes_round_in_circles() {
        let policy = Policy::default();
        for have in UserClass::ALL {
            for start in UserClass::ALL {
                let mut standing = Standing {
                    class: start,
                    ..just(have)
                };
                for day in 0..60 {
                    let now = UnixTime(NOW.0 + day * DAY_SECS);
                    match judge(&policy, &standing, now) {
                        Verdict::Promote(class) | Verdict::Demote(class) => {
                            standing.class = class;
                            standing.below_since = None;
                        }
                        Verdict::Below { since, .. } => standing.below_since = Some(since),
                        Verdict::Recovered => standing.below_since = None,
                        Verdict::Stay => {}
                    }
                }
                assert_eq!(standing.class, have, "from {start:?}");
            }
        }
    }

    /// Seven days over the end of February: with a leap day they end on the 4th of March, without on the 5th.
    #[test]
    fn a_leap_day_is_a_day() {
        let table = [
            ("2028-02-26 to 2028-03-04", 1_835_136_000, 1_835_740_800),
            ("2027-02-26 to 2027-03-05", 1_803_600_000, 1_804_204_800),
        ];
        for (name, joined, week_later) in table {
            let at = |now: u32| {
                let standing = Standing {
                    class: Newbie,
                    age_secs: UnixTime(now).secs_since(UnixTime(joined)),
                    ..just(Member)
                };
                judge(&Policy::default(), &standing, UnixTime(now))
            };
            assert_eq!(at(week_later - 1), Verdict::Stay, "{name}, a second before");
            assert_eq!(at(week_later), Verdict::Promote(Member), "{name}");
        }
    }

    #[test]
    fn a_member_is_shown_all_that_is_missing() {
        let nothing = Standing {
            class: Member,
            age_secs: 60 * DAY_SECS - 1,
            uploaded: 30 * GIB,
            ratio_milli: Some(900),
            seed_secs: 3 * HOUR_SECS + 5,
            torrents: 0,
            open_hit_and_runs: 2,
            below_since: None,
        };
        let missing = |what, have, need| Missing { what, have, need };
        let expected = vec![
            missing("age_days", 59, 60),
            missing("uploaded", 30 * GIB, 250 * GIB),
            missing("ratio_milli", 900, 1050),
            missing("seed_hours", 3, 720),
            missing("open_hit_and_runs", 2, 0),
        ];
        let policy = Policy::default();
        assert_eq!(
            missing_for_next(&policy, &nothing),
            Some((Trusted, expected))
        );
        let enough = Standing {
            class: Member,
            ..just(Trusted)
        };
        assert_eq!(missing_for_next(&policy, &enough), Some((Trusted, vec![])));
        assert_eq!(missing_for_next(&policy, &just(Elite)), None);
    }
}
