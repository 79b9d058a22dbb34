//! Classes, hit-and-runs and low ratios: the economy's verdicts on members, and what they are told. A job asks for it now
//! and then; asked twice, it changes nothing more.

use std::time::Instant;

use economy::class::{self, Standing, Verdict};
use economy::milli::Milli;
use economy::policy::Policy;
use economy::ratio::{self, Watch};
use economy::snatch::SnatchState;
use store::{Conduct, NotificationKind, OwedSnatch, Store, StoreError, Verdicts};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::UserClass;

/// Members looked at at a time.
const PAGE: u32 = 1000;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// Members looked at.
    pub members: u64,
    /// Went up.
    pub promoted: u64,
    /// Went down.
    pub demoted: u64,
    /// Were warned, of whatever.
    pub warned: u64,
    /// Lost the right to download.
    pub suspended: u64,
    /// Have it back.
    pub restored: u64,
}

/// Judges every member. `min_ratio_milli`: below it, ratios are watched; 0: none is.
pub async fn review(
    store: &Store,
    policy: &Policy,
    min_ratio_milli: u64,
    now: UnixTime,
) -> Result<Reviewed, StoreError> {
    let began = Instant::now();
    let mut reviewed = Reviewed::default();
    let mut after = UserId(0);
    loop {
        let members = store.conduct(after, PAGE).await?;
        let Some(last) = members.last() else {
            return Ok(reviewed);
        };
        after = last.user;
        for member in &members {
            reviewed.members += 1;
            let (standing, owed) = store.standing_and_owed(member.user, policy, now).await?;
            let standing = Standing {
                below_since: member.below_class_since,
                ..standing
            };
            let verdicts = judge(policy, min_ratio_milli, member, &standing, &owed, now);
            // A class holds from when it is given: who comes last may wait for minutes.
            let at = UnixTime(now.0.saturating_add(began.elapsed().as_secs() as u32));
            if verdicts != unchanged(member) && store.carry_out(member.user, &verdicts, at).await? {
                reviewed.count(member, &verdicts);
            }
        }
    }
}

/// What becomes of a member, by the rules as they are.
fn judge(
    policy: &Policy,
    min_ratio_milli: u64,
    member: &Conduct,
    standing: &Standing,
    owed: &[OwedSnatch],
    now: UnixTime,
) -> Verdicts {
    let mut verdicts = unchanged(member);
    warn_of_snatches(&mut verdicts, owed);
    judge_hit_and_runs(policy, &mut verdicts, standing.open_hit_and_runs, now);
    judge_ratio(policy, min_ratio_milli, member, &mut verdicts, now);
    judge_class(policy, standing, &mut verdicts, now);
    verdicts
}

fn unchanged(member: &Conduct) -> Verdicts {
    Verdicts {
        class_before: member.class,
        class: member.class,
        highest_class: member.highest_class.max(member.class),
        invites: 0,
        below_class_since: member.below_class_since,
        ratio_watched_since: member.ratio_watched_since,
        ratio_suspended_at: member.ratio_suspended_at,
        hit_and_run_suspended_at: member.hit_and_run_suspended_at,
        warned: Vec::new(),
        notices: Vec::new(),
    }
}

fn warn_of_snatches(verdicts: &mut Verdicts, owed: &[OwedSnatch]) {
    for owed in owed {
        let SnatchState::Warned {
            until,
            missing_secs,
        } = owed.state
        else {
            continue;
        };
        if owed.warned_at.is_some() || owed.snatch.is_seeding {
            continue;
        }
        verdicts.warned.push(owed.torrent);
        let hours = missing_secs.div_ceil(3600);
        let message = format!(
            "“{}” must be seeded for {hours} more hours by {}, or it is a hit-and-run",
            owed.name,
            show(until)
        );
        verdicts.tell(NotificationKind::HitAndRun, message);
    }
}

fn judge_hit_and_runs(policy: &Policy, verdicts: &mut Verdicts, open: u64, now: UnixTime) {
    let may_leech = policy.hit_and_run.may_leech(open);
    match (may_leech, verdicts.hit_and_run_suspended_at) {
        (false, None) => {
            verdicts.hit_and_run_suspended_at = Some(now);
            let most = policy.hit_and_run.max_open;
            let message = format!(
                "your downloads are suspended: you have {open} hit-and-runs open, and {most} is the most"
            );
            verdicts.tell(NotificationKind::HitAndRun, message);
        }
        (true, Some(_)) => {
            verdicts.hit_and_run_suspended_at = None;
            let message = "your hit-and-runs are few enough: you may download again".to_owned();
            verdicts.tell(NotificationKind::HitAndRun, message);
        }
        (true, None) | (false, Some(_)) => {}
    }
}

fn judge_ratio(
    policy: &Policy,
    min_ratio_milli: u64,
    member: &Conduct,
    verdicts: &mut Verdicts,
    now: UnixTime,
) {
    let watch = ratio::watch(
        &policy.ratio_watch,
        min_ratio_milli,
        member.credited.uploaded,
        member.credited.downloaded,
        member.ratio_watched_since,
        now,
    );
    match watch {
        Watch::Fine | Watch::Watched { .. } => {}
        Watch::Begins { until } => {
            verdicts.ratio_watched_since = Some(now);
            let message = format!(
                "your ratio is below {}: raise it by {}, or your downloads will be suspended",
                Milli(min_ratio_milli),
                show(until)
            );
            verdicts.tell(NotificationKind::Ratio, message);
        }
        Watch::Suspended if verdicts.ratio_suspended_at.is_none() => {
            verdicts.ratio_suspended_at = Some(now);
            let message = format!(
                "your downloads are suspended until your ratio is {} again",
                Milli(min_ratio_milli)
            );
            verdicts.tell(NotificationKind::Ratio, message);
        }
        Watch::Suspended => {}
        Watch::Mended => {
            let was_suspended = verdicts.ratio_suspended_at.is_some();
            (verdicts.ratio_watched_since, verdicts.ratio_suspended_at) = (None, None);
            let message = match was_suspended {
                true => "your ratio is high enough: you may download again",
                false => "your ratio is high enough again",
            };
            verdicts.tell(NotificationKind::Ratio, message.to_owned());
        }
    }
}

fn judge_class(policy: &Policy, standing: &Standing, verdicts: &mut Verdicts, now: UnixTime) {
    match class::judge(policy, standing, now) {
        Verdict::Stay => {}
        Verdict::Recovered => verdicts.below_class_since = None,
        Verdict::Promote(class) => {
            // Whoever falls and rises again has had them.
            let highest = verdicts.highest_class;
            let new = UserClass::ALL
                .into_iter()
                .filter(|one| *one > highest && *one <= class);
            verdicts.invites = new.map(|one| policy.class(one).privileges.invites).sum();
            verdicts.class = class;
            verdicts.highest_class = highest.max(class);
            verdicts.below_class_since = None;
            let message = match verdicts.invites {
                0 => format!("you are {} now", class.name()),
                invites => format!(
                    "you are {} now, and have {invites} more invites",
                    class.name()
                ),
            };
            verdicts.tell(NotificationKind::Class, message);
        }
        Verdict::Below { since, demotion_at } => {
            if verdicts.below_class_since.is_none() {
                let message = format!(
                    "you no longer have what {} asks for: you go down on {}, unless you do again",
                    standing.class.name(),
                    show(demotion_at)
                );
                verdicts.tell(NotificationKind::Class, message);
            }
            verdicts.below_class_since = Some(since);
        }
        Verdict::Demote(class) => {
            verdicts.class = class;
            verdicts.below_class_since = None;
            let message = format!("you are {} from now on", class.name());
            verdicts.tell(NotificationKind::Class, message);
        }
    }
}

/// To the minute.
fn show(at: UnixTime) -> String {
    let time = jiff::Timestamp::from_second(at.0.into()).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl Reviewed {
    fn count(&mut self, before: &Conduct, after: &Verdicts) {
        let suspended = |ratio: Option<UnixTime>, runs: Option<UnixTime>| ratio.or(runs).is_some();
        let was = suspended(before.ratio_suspended_at, before.hit_and_run_suspended_at);
        let is = suspended(after.ratio_suspended_at, after.hit_and_run_suspended_at);
        self.promoted += u64::from(after.class > before.class);
        self.demoted += u64::from(after.class < before.class);
        let is_warned = !after.warned.is_empty()
            || (before.ratio_watched_since.is_none() && after.ratio_watched_since.is_some())
            || (before.below_class_since.is_none() && after.below_class_since.is_some());
        self.warned += u64::from(is_warned);
        self.suspended += u64::from(!was && is);
        self.restored += u64::from(was && !is);
    }
}
