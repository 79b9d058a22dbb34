//! A policy over recorded history: who'd have had how much, in which class, and who'd have been warned.
//!
//! History is what members did, and stays as it was: nobody shares more because it pays more, and who would have lost their
//! leech rights goes on downloading. Balances begin at 0. Traffic comes in hour by hour, as even within the hour as it is
//! unknown; classes, ratio and hit-and-runs are judged at the end of each day (UTC). "Uploaded" and "downloaded" are counted
//! bytes, after windows. Only snatches of the time are judged. The same input gives the same outcome.

mod plot;

use std::collections::HashMap;
use std::ops::Range;

use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::HOUR_SECS;
use crate::class::{Standing, Verdict, judge};
use crate::policy::Policy;
use crate::price::{Factors, cost_milli, earned_milli, payable_milli};
use crate::ratio::{Watch, watch};
use crate::seeding::{Seeded, payout_milli, reward_millionths};
use crate::shop::{Item, NoDeal, Ware, buy};
use crate::snatch::{Snatch, SnatchState, judge_snatch};
use crate::window::{Counted, Who, Window, count};
pub use plot::plot;

const HOUR: u32 = HOUR_SECS as u32;
const HOURS_A_DAY: u32 = 24;

/// What members did, but for traffic, which is too much to have all at once.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Everybody, in any order.
    pub members: Vec<Member>,
    /// All torrents, in any order.
    pub torrents: Vec<Torrent>,
    /// Who seeded what and when, in any order.
    pub seedings: Vec<Seeding>,
    /// Who completed what and when, in any order.
    pub snatches: Vec<Completed>,
}

/// A member, as they were when the simulation begins.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Who.
    pub id: UserId,
    /// Since when; may lie within the simulated time.
    pub joined_at: UnixTime,
    /// Their class at the beginning.
    pub class: UserClass,
    /// Counted bytes before the beginning.
    pub before: Counters,
}

/// A torrent of the site.
#[derive(Clone, Copy, Debug)]
pub struct Torrent {
    /// Which.
    pub id: TorrentId,
    /// Who added it.
    pub uploader: Option<UserId>,
    /// Bytes.
    pub size: u64,
    /// Since when the site has it.
    pub created_at: UnixTime,
}

/// A time in which a member seeded a torrent, whole hours, evenly.
#[derive(Clone, Copy, Debug)]
pub struct Seeding {
    /// Who.
    pub user: UserId,
    /// What.
    pub torrent: TorrentId,
    /// From when on: its whole hour counts.
    pub from: UnixTime,
    /// Until when: its whole hour counts.
    pub to: UnixTime,
    /// Seconds of seeding within it; no more than there are.
    pub secs: u32,
}

/// A snatch.
#[derive(Clone, Copy, Debug)]
pub struct Completed {
    /// Who.
    pub user: UserId,
    /// What.
    pub torrent: TorrentId,
    /// When they had all of it.
    pub completed_at: UnixTime,
}

/// What a member moved in a torrent within an hour, before windows.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Who.
    pub user: UserId,
    /// What.
    pub torrent: TorrentId,
    /// How much.
    pub moved: Counters,
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// All but the windows.
    pub policy: &'a Policy,
    /// Freeleech and upload factors: the policy's own, or those that history had.
    pub windows: &'a [Window],
    /// The site's `credits.multiplier`, times 1000.
    pub multiplier_milli: u32,
    /// The site's `credits.min_ratio_warning`, times 1000.
    pub min_ratio_milli: u64,
}

/// How things stand at the end of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// When.
    pub at: UnixTime,
    /// Members who have joined.
    pub members: u64,
    /// All balances together.
    pub supply_milli: i64,
    /// What came into being on this day.
    pub issued_milli: i64,
    /// What downloads and the shop took on this day.
    pub spent_milli: i64,
    /// The balance that half of the members don't have.
    pub median_milli: i64,
    /// How unequal balances are: 0, all alike, to 1000, one has all.
    pub gini_milli: u32,
    /// Members in each class, in the order of [`UserClass::ALL`].
    pub classes: [u64; 4],
    /// Members who are warned, for their ratio or for a snatch.
    pub warned: u64,
    /// Members without leech rights, for their ratio or for hit-and-runs.
    pub suspended: u64,
}

/// What became of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub joined_at: UnixTime,
    /// What uploading earned.
    pub uploads_milli: i64,
    /// What seeding earned.
    pub seeding_milli: i64,
    /// What downloads took.
    pub downloads_milli: i64,
    /// What the shop took.
    pub bought_milli: i64,
    /// What downloads cost that there was nothing for yet.
    pub owed_milli: i64,
    /// What is left.
    pub balance_milli: i64,
    /// The class now.
    pub class: UserClass,
    /// Every change of class, and when.
    pub changes: Vec<(UnixTime, UserClass)>,
    /// Times that the ratio watch began.
    pub ratio_warnings: u32,
    /// Snatches that came near to being hit-and-runs.
    pub snatch_warnings: u32,
    /// Snatches that became hit-and-runs, whatever became of them later.
    pub hit_and_runs: u32,
    /// Hit-and-runs now.
    pub open_hit_and_runs: u32,
    /// Whether they are warned now, for whatever reason.
    pub is_warned: bool,
    /// Whether their ratio is too low now.
    pub is_watched: bool,
    /// Whether they have lost their leech rights now.
    pub is_suspended: bool,
}

/// All that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Day by day; the last may have been cut short.
    pub days: Vec<Day>,
    /// In the order of their numbers.
    pub accounts: Vec<Account>,
}

/// A simulation under way: [`hour`](Self::hour) by hour, then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Simulation<'a> {
    rules: Rules<'a>,
    members: Vec<State>,
    places: HashMap<UserId, usize>,
    torrents: Vec<Torrent>,
    /// How many seed each of the torrents in this hour.
    seeders: Vec<u32>,
    /// What each of them is worth in this hour.
    rewards: Vec<u128>,
    seedings: Vec<Span>,
    /// Of `seedings`, in the order in which they begin.
    coming: Vec<usize>,
    /// How many of them have.
    begun: usize,
    added: Vec<(UnixTime, usize)>,
    days: Vec<Day>,
    today: Day,
    /// The hour that is next.
    next: u32,
}

/// A [`Seeding`] in hours, with places instead of numbers.
#[derive(Clone, Copy, Debug)]
struct Span {
    member: usize,
    torrent: usize,
    from: u32,
    to: u32,
    secs: u32,
}

#[derive(Debug)]
struct State {
    account: Account,
    uploaded: u64,
    downloaded: u64,
    /// Hundredths of bytes that wait for the others.
    rest: (u128, u128),
    seed_secs: u64,
    torrents: u64,
    hour: Counted,
    below_since: Option<UnixTime>,
    watched_since: Option<UnixTime>,
    /// Places in `seedings` of what they are seeding.
    seeding: Vec<usize>,
    /// By torrent.
    snatches: Vec<Taken>,
}

#[derive(Debug)]
struct Taken {
    torrent: usize,
    snatch: Snatch,
    /// Places in `seedings` of when they seeded it.
    seedings: Range<usize>,
    was_warned: bool,
    was_run: bool,
    is_done: bool,
}

impl Span {
    fn secs_by(&self, hour: u32) -> u64 {
        let hours = u64::from((self.to - self.from).max(1));
        let passed = u64::from(hour.clamp(self.from, self.to) - self.from);
        u64::from(self.secs) * passed / hours
    }
}

impl<'a> Simulation<'a> {
    /// Begins with the hour of `from`. What refers to members or torrents that aren't in the history is left out.
    pub fn new(rules: Rules<'a>, history: &History, from: UnixTime) -> Self {
        let first = from.0 / HOUR;
        let mut members: Vec<Member> = history.members.clone();
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        let places: HashMap<UserId, usize> = members
            .iter()
            .enumerate()
            .map(|(place, member)| (member.id, place))
            .collect();
        let mut torrents = history.torrents.clone();
        torrents.sort_by_key(|torrent| torrent.id);
        torrents.dedup_by_key(|torrent| torrent.id);
        let torrent_place = |id| torrents.binary_search_by_key(&id, |torrent: &Torrent| torrent.id);

        let mut seedings: Vec<Span> = history
            .seedings
            .iter()
            .filter_map(|seeding| {
                let from = seeding.from.0 / HOUR;
                let to = seeding.to.0.div_ceil(HOUR).max(from + 1);
                Some(Span {
                    member: *places.get(&seeding.user)?,
                    torrent: torrent_place(seeding.torrent).ok()?,
                    from,
                    to,
                    secs: seeding.secs.min((to - from).saturating_mul(HOUR)),
                })
            })
            .collect();
        seedings.sort_by_key(|span| (span.member, span.torrent, span.from, span.to, span.secs));
        let mut coming: Vec<usize> = (0..seedings.len()).collect();
        coming.sort_by_key(|place| seedings.get(*place).map(|span| span.from));

        let mut states: Vec<State> = members.iter().map(State::new).collect();
        for span in &seedings {
            if let Some(state) = states.get_mut(span.member) {
                state.seed_secs += span.secs_by(first);
            }
        }
        for taken in &history.snatches {
            let (Some(member), Ok(torrent)) =
                (places.get(&taken.user), torrent_place(taken.torrent))
            else {
                continue;
            };
            if taken.completed_at.0 / HOUR < first {
                continue;
            }
            let key = (*member, torrent);
            let start = seedings.partition_point(|span| (span.member, span.torrent) < key);
            let end = seedings.partition_point(|span| (span.member, span.torrent) <= key);
            if let (Some(state), Some(found)) = (states.get_mut(*member), torrents.get(torrent)) {
                let completed_at = taken.completed_at;
                state
                    .snatches
                    .push(Taken::new(torrent, found.size, completed_at, start..end));
            }
        }
        for state in &mut states {
            state
                .snatches
                .sort_by_key(|taken| (taken.torrent, taken.snatch.completed_at));
            state.snatches.dedup_by_key(|taken| taken.torrent);
        }
        let mut added: Vec<(UnixTime, usize)> = torrents
            .iter()
            .filter_map(|torrent| Some((torrent.created_at, *places.get(&torrent.uploader?)?)))
            .collect();
        added.sort_unstable_by(|one, other| other.cmp(one)); // the next is the last
        Self {
            rules,
            members: states,
            places,
            seeders: vec![0; torrents.len()],
            rewards: vec![0; torrents.len()],
            torrents,
            seedings,
            coming,
            begun: 0,
            added,
            days: Vec::new(),
            today: Day::default(),
            next: first,
        }
    }

    /// The hour that is next, since 1970.
    pub fn next_hour(&self) -> u32 {
        self.next
    }

    /// One hour goes by: these moved something. Says whether the day is over, and has been judged.
    pub fn hour(&mut self, traffic: &[Traffic]) -> bool {
        let hour = self.next;
        self.next += 1;
        self.count(traffic, hour);
        self.begin_seeding(hour);
        self.price_torrents(hour);
        for state in &mut self.members {
            let issued = state.seed(self.rules, &self.seedings, &self.rewards, hour);
            self.today.issued_milli = self.today.issued_milli.saturating_add(issued);
            let (issued, spent) = state.settle(self.rules);
            self.today.issued_milli = self.today.issued_milli.saturating_add(issued);
            self.today.spent_milli = self.today.spent_milli.saturating_add(spent);
        }
        self.end_seeding();
        let is_over = self.next.is_multiple_of(HOURS_A_DAY);
        if is_over {
            self.end_day();
        }
        is_over
    }

    /// Somebody buys something. What it takes is in the day that is under way. Upload credit raises the ratio, and settling
    /// is for the snatch that they ran from first; invites and tokens are only paid for.
    pub fn buy(&mut self, user: UserId, item: &Item) -> Result<(), NoDeal> {
        let Some(state) = self.places.get(&user) else {
            return Ok(());
        };
        let Some(state) = self.members.get_mut(*state) else {
            return Ok(());
        };
        let account = &mut state.account;
        account.balance_milli = buy(account.balance_milli, item)?;
        let price = i64::from(item.price_milli);
        account.bought_milli = account.bought_milli.saturating_add(price);
        self.today.spent_milli = self.today.spent_milli.saturating_add(price);
        match item.what {
            Ware::UploadCredit { bytes } => state.uploaded = state.uploaded.saturating_add(bytes),
            Ware::SettleHitAndRun => {
                let run = state
                    .snatches
                    .iter_mut()
                    .filter(|taken| taken.was_run && !taken.is_done);
                if let Some(taken) = run.min_by_key(|taken| taken.snatch.completed_at) {
                    taken.snatch.settled = true;
                    taken.is_done = true;
                }
            }
            Ware::Invite | Ware::FreeleechToken { .. } => {}
        }
        Ok(())
    }

    /// Everybody, as they are now; those who haven't joined yet, too.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.members.iter().map(|state| &state.account)
    }

    /// The days so far.
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// Judges what there was of the last day.
    pub fn finish(mut self) -> Outcome {
        if !self.next.is_multiple_of(HOURS_A_DAY) {
            self.end_day();
        }
        Outcome {
            days: self.days,
            accounts: self
                .members
                .into_iter()
                .map(|state| state.account)
                .collect(),
        }
    }

    fn count(&mut self, traffic: &[Traffic], hour: u32) {
        let from = time(hour);
        let to = time(hour + 1);
        for row in traffic {
            let place = self.places.get(&row.user);
            let Some(state) = place.and_then(|place| self.members.get_mut(*place)) else {
                continue;
            };
            let who = Who {
                user: row.user,
                class: state.account.class,
                torrent: row.torrent,
            };
            let counted = count(self.rules.windows, &who, row.moved, from, to);
            state.hour = state.hour.saturating_add(counted);
            // Places are in the order of the numbers.
            let torrents = &self.torrents;
            let taken = state
                .snatches
                .binary_search_by_key(&Some(row.torrent), |taken| {
                    torrents.get(taken.torrent).map(|torrent| torrent.id)
                });
            if let Some(taken) = taken.ok().and_then(|place| state.snatches.get_mut(place)) {
                let uploaded = &mut taken.snatch.uploaded;
                *uploaded = uploaded.saturating_add(row.moved.uploaded);
            }
        }
    }

    fn begin_seeding(&mut self, hour: u32) {
        while let Some(place) = self.coming.get(self.begun) {
            let Some(span) = self.seedings.get(*place).filter(|span| span.from <= hour) else {
                break;
            };
            self.begun += 1;
            if span.to <= hour {
                continue; // over before the beginning
            }
            if let Some(state) = self.members.get_mut(span.member) {
                state.seeding.push(*place);
            }
            if let Some(seeders) = self.seeders.get_mut(span.torrent) {
                *seeders += 1;
            }
        }
    }

    fn end_seeding(&mut self) {
        let (next, seedings) = (self.next, &self.seedings);
        for state in &mut self.members {
            state.seeding.retain(|place| {
                let over = seedings.get(*place).filter(|span| span.to <= next);
                if let Some(seeders) = over.and_then(|span| self.seeders.get_mut(span.torrent)) {
                    *seeders -= 1;
                }
                over.is_none()
            });
        }
    }

    fn price_torrents(&mut self, hour: u32) {
        let rows = self.torrents.iter().zip(&self.seeders);
        for ((torrent, seeders), reward) in rows.zip(&mut self.rewards) {
            if *seeders > 0 {
                let seeded = Seeded {
                    size: torrent.size,
                    seeders: *seeders,
                    age_secs: time(hour).secs_since(torrent.created_at),
                };
                *reward = reward_millionths(&self.rules.policy.seeding, &seeded);
            }
        }
    }

    fn end_day(&mut self) {
        let now = time(self.next);
        while let Some((_, place)) = self.added.pop_if(|(at, _)| *at < now) {
            if let Some(state) = self.members.get_mut(place) {
                state.torrents += 1;
            }
        }
        for state in &mut self.members {
            if state.account.joined_at < now {
                state.judge(self.rules, &self.seedings, self.next);
            }
        }
        let mut day = std::mem::take(&mut self.today);
        day.at = now;
        let mut balances = Vec::with_capacity(self.members.len());
        for account in self.members.iter().map(|state| &state.account) {
            if account.joined_at >= now {
                continue;
            }
            balances.push(account.balance_milli);
            day.members += 1;
            day.supply_milli = day.supply_milli.saturating_add(account.balance_milli);
            let of_class = UserClass::ALL.into_iter().zip(&mut day.classes);
            of_class
                .filter(|(class, _)| *class == account.class)
                .for_each(|(_, members)| *members += 1);
            day.warned += u64::from(account.is_warned);
            day.suspended += u64::from(account.is_suspended);
        }
        balances.sort_unstable();
        day.median_milli = balances
            .get(balances.len() / 2)
            .copied()
            .unwrap_or_default();
        day.gini_milli = gini_milli(&balances);
        self.days.push(day);
    }
}

impl State {
    fn new(member: &Member) -> Self {
        Self {
            account: Account {
                user: member.id,
                joined_at: member.joined_at,
                uploads_milli: 0,
                seeding_milli: 0,
                downloads_milli: 0,
                bought_milli: 0,
                owed_milli: 0,
                balance_milli: 0,
                class: member.class,
                changes: Vec::new(),
                ratio_warnings: 0,
                snatch_warnings: 0,
                hit_and_runs: 0,
                open_hit_and_runs: 0,
                is_warned: false,
                is_watched: false,
                is_suspended: false,
            },
            uploaded: member.before.uploaded,
            downloaded: member.before.downloaded,
            rest: (0, 0),
            seed_secs: 0,
            torrents: 0,
            hour: Counted::default(),
            below_since: None,
            watched_since: None,
            seeding: Vec::new(),
            snatches: Vec::new(),
        }
    }

    /// Pays for an hour of seeding, and says what.
    fn seed(&mut self, rules: Rules<'_>, seedings: &[Span], rewards: &[u128], hour: u32) -> i64 {
        let mut sum: u128 = 0;
        for span in self.seeding.iter().filter_map(|place| seedings.get(*place)) {
            let secs = span.secs_by(hour + 1) - span.secs_by(hour);
            self.seed_secs += secs;
            let reward = rewards.get(span.torrent).copied().unwrap_or_default();
            sum = sum.saturating_add(if secs == HOUR_SECS {
                reward
            } else {
                reward.saturating_mul(secs.into()) / u128::from(HOUR_SECS)
            });
        }
        let account = &mut self.account;
        let issued = payout_milli(&rules.policy.seeding, account.balance_milli, sum);
        account.seeding_milli = account.seeding_milli.saturating_add(issued);
        account.balance_milli = account.balance_milli.saturating_add(issued);
        issued
    }

    /// Enters an hour's traffic, and what was owed: what came and what went.
    fn settle(&mut self, rules: Rules<'_>) -> (i64, i64) {
        let hour = std::mem::take(&mut self.hour);
        let whole = |sum: u128| (u64::try_from(sum / 100).unwrap_or(u64::MAX), sum % 100);
        let (uploaded, up_rest) = whole(self.rest.0.saturating_add(hour.uploaded));
        let (downloaded, down_rest) = whole(self.rest.1.saturating_add(hour.downloaded));
        self.rest = (up_rest, down_rest);
        self.uploaded = self.uploaded.saturating_add(uploaded);
        self.downloaded = self.downloaded.saturating_add(downloaded);

        let factors = Factors {
            multiplier_milli: rules.multiplier_milli,
            class_upload_percent: rules
                .policy
                .class(self.account.class)
                .privileges
                .upload_percent,
        };
        let earning = &rules.policy.earning;
        let account = &mut self.account;
        let issued = earned_milli(earning, factors, hour.uploaded);
        account.uploads_milli = account.uploads_milli.saturating_add(issued);
        account.balance_milli = account.balance_milli.saturating_add(issued);
        let cost = cost_milli(earning, hour.downloaded);
        account.owed_milli = account.owed_milli.saturating_add(cost);
        let spent = payable_milli(earning, account.balance_milli, account.owed_milli);
        account.owed_milli -= spent;
        account.downloads_milli = account.downloads_milli.saturating_add(spent);
        account.balance_milli = account.balance_milli.saturating_sub(spent);
        (issued, spent)
    }

    fn judge(&mut self, rules: Rules<'_>, seedings: &[Span], hour: u32) {
        let policy = rules.policy;
        let now = time(hour);
        let is_near = self.judge_snatches(rules, seedings, hour);
        let account = &mut self.account;

        let watch = watch(
            &policy.ratio_watch,
            rules.min_ratio_milli,
            self.uploaded,
            self.downloaded,
            self.watched_since,
            now,
        );
        match watch {
            Watch::Fine | Watch::Mended => self.watched_since = None,
            Watch::Begins { .. } => {
                self.watched_since = Some(now);
                account.ratio_warnings += 1;
            }
            Watch::Watched { .. } | Watch::Suspended => {}
        }
        account.is_watched = self.watched_since.is_some();
        account.is_warned = is_near || account.is_watched;
        let may_leech = policy
            .hit_and_run
            .may_leech(account.open_hit_and_runs.into());
        account.is_suspended = watch == Watch::Suspended || !may_leech;

        let ratio = u128::from(self.uploaded) * 1000;
        let standing = Standing {
            class: account.class,
            age_secs: now.secs_since(account.joined_at),
            uploaded: self.uploaded,
            ratio_milli: ratio
                .checked_div(self.downloaded.into())
                .map(|ratio| u64::try_from(ratio).unwrap_or(u64::MAX)),
            seed_secs: self.seed_secs,
            torrents: self.torrents,
            open_hit_and_runs: account.open_hit_and_runs.into(),
            below_since: self.below_since,
        };
        self.below_since = match judge(policy, &standing, now) {
            Verdict::Stay | Verdict::Recovered => None,
            Verdict::Below { since, .. } => Some(since),
            Verdict::Promote(class) | Verdict::Demote(class) => {
                account.class = class;
                account.changes.push((now, class));
                None
            }
        };
    }

    /// Whether one of them is near to being a hit-and-run, or is one.
    fn judge_snatches(&mut self, rules: Rules<'_>, seedings: &[Span], hour: u32) -> bool {
        let now = time(hour);
        let account = &mut self.account;
        account.open_hit_and_runs = 0;
        let mut is_near = false;
        for taken in &mut self.snatches {
            if taken.is_done || taken.snatch.completed_at >= now {
                continue;
            }
            let spans = seedings.get(taken.seedings.clone()).unwrap_or_default();
            taken.snatch.seed_secs = spans.iter().map(|span| span.secs_by(hour)).sum();
            taken.snatch.is_seeding = spans.iter().any(|span| span.from <= hour && hour < span.to);
            match judge_snatch(&rules.policy.hit_and_run, &taken.snatch, now) {
                SnatchState::Satisfied => taken.is_done = true,
                SnatchState::Open { .. } => {}
                SnatchState::Warned { .. } => {
                    is_near = true;
                    account.snatch_warnings += u32::from(!taken.was_warned);
                    taken.was_warned = true;
                }
                SnatchState::HitAndRun { .. } => {
                    is_near = true;
                    account.open_hit_and_runs += 1;
                    account.hit_and_runs += u32::from(!taken.was_run);
                    taken.was_run = true;
                }
            }
        }
        is_near
    }
}

impl Taken {
    fn new(torrent: usize, size: u64, completed_at: UnixTime, seedings: Range<usize>) -> Self {
        Self {
            torrent,
            snatch: Snatch {
                completed_at,
                size,
                uploaded: 0,
                seed_secs: 0,
                is_seeding: false,
                settled: false,
            },
            seedings,
            was_warned: false,
            was_run: false,
            is_done: false,
        }
    }
}

/// The first second of an hour.
fn time(hour: u32) -> UnixTime {
    UnixTime(hour.saturating_mul(HOUR))
}

/// The Gini coefficient of sorted balances, times 1000. Debts count as nothing.
fn gini_milli(sorted: &[i64]) -> u32 {
    let members = sorted.len() as i128;
    let (mut sum, mut weighted) = (0_i128, 0_i128);
    for (rank, balance) in (1_i128..).zip(sorted) {
        let balance = i128::from(*balance).max(0);
        sum += balance;
        weighted = weighted.saturating_add(rank * balance);
    }
    let unequal = weighted.saturating_mul(2) - (members + 1) * sum;
    let gini = unequal.saturating_mul(1000) / (members * sum).max(1);
    u32::try_from(gini).unwrap_or_default()
}

#[cfg(test)]
mod tests;
