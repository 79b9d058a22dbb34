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
    /// Invites, given once at promotion.
    pub invites: u32,
    /// What an uploaded byte earns: 100 to 1000.
    pub upload_percent: u16,
    /// Days until an unused freeleech token is worth nothing; 0: never.
    pub token_days: u32,
    /// Requests to the API; 0: the site's `api.requests_per_minute`.
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
