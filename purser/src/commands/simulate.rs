//! `purser simulate`: another policy over recorded history, beside the one in effect.

use std::fs;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use economy::policy::Policy;
use economy::simulate::{Account, Day, History, Outcome, Rules, Simulation, Traffic, plot};
use economy::window::Window;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use store::{PAGE_MAX, Store, TrafficOfHour};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::UserClass;

use super::{block_on, open_store, print, print_json};
use crate::cli::{Simulate, Time};
use crate::config::Config;

/// Traffic is read by the week, as there is no index by hour: a pass over the rows for each, and 32 bytes a row.
const HOURS_AT_ONCE: u32 = 7 * 24;
const HOURS_A_DAY: u32 = 24;
const HOUR_SECS: u32 = 3600;
/// Of those who gain, and of those who lose.
const ROWS: usize = 10;

/// What can't be seen in the output, and should be known.
const LIMITS: [&str; 5] = [
    "members do what they did: nobody shares more because it pays more, and nobody is kept from downloading",
    "balances begin at 0, and grants, gifts and purchases are left out",
    "when a torrent was seeded isn't recorded by the hour: a session's seed time is spread evenly over it, several clients \
     and sessions of a member in a torrent as one",
    "classes before changes of them were recorded aren't known: who was there then begins with the next that is",
    "only snatches of this time are judged",
];

/// Two policies over one history, and what they came to.
struct Comparison {
    from: UnixTime,
    to: UnixTime,
    now: Outcome,
    tried: Outcome,
    names: Vec<(UserId, String)>,
}

pub(crate) fn run(config: &Config, args: &Simulate, json: bool) -> Result<()> {
    let policy = read_policy(&args.policy)?;
    let in_effect = config.economy()?;
    let compared = block_on(async {
        let store = open_store(config).await?;
        let compared = compare(&store, config, args, &in_effect, &policy).await?;
        store.close().await;
        Ok(compared)
    })?;
    if let Some(path) = &args.plot {
        let runs: [(&str, &[Day]); 2] = [
            ("in effect", &compared.now.days),
            ("tried", &compared.tried.days),
        ];
        fs::write(path, plot(&runs)).with_context(|| format!("can't write {}", path.display()))?;
    }
    if json {
        print_json(&compared.json())
    } else {
        print(&compared.table())
    }
}

fn read_policy(path: &Path) -> Result<Policy> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("can't read {shown}"))?;
    Policy::parse(&text).map_err(|error| anyhow!("{shown}:{}: {}", error.line, error.reason))
}

async fn compare(
    store: &Store,
    config: &Config,
    args: &Simulate,
    in_effect: &Policy,
    tried: &Policy,
) -> Result<Comparison> {
    let recorded = store.hours_of_history().await?;
    let (first, last) = recorded.context("there is no recorded traffic to simulate over")?;
    let end = last.saturating_add(1);
    let hour_of = |time: Time| time.0.0 / HOUR_SECS;
    let from = args.from.map_or(first, hour_of).max(first);
    let to = args
        .to
        .map_or(end, |time| time.0.0.div_ceil(HOUR_SECS))
        .min(end);
    ensure!(
        from < to,
        "there is no recorded traffic in this time: it goes from {} to {}",
        time(first),
        time(end)
    );
    let start = UnixTime(from.saturating_mul(HOUR_SECS));
    let recorded_windows = store.windows_since(start).await?;
    let bar = bar(u64::from(to - from));
    bar.set_message("history");
    let history = read_history(store, from).await?;
    let rules = |policy, windows| Rules {
        policy,
        windows,
        multiplier_milli: thousandths(config.credits.multiplier),
        min_ratio_milli: thousandths(config.credits.min_ratio_warning).into(),
    };
    // A file without windows is about the rest.
    let windows = |policy: &'_ Policy| -> Vec<Window> {
        if policy.windows.is_empty() {
            recorded_windows.clone()
        } else {
            policy.windows.clone()
        }
    };
    let tried_windows = windows(tried);
    let mut now = Simulation::new(rules(in_effect, &recorded_windows), &history, start);
    let mut then = Simulation::new(rules(tried, &tried_windows), &history, start);
    bar.set_message("hours");
    let mut week = from;
    while week < to {
        let end = week.saturating_add(HOURS_AT_ONCE).min(to);
        let traffic = read_traffic(store, week..end).await?;
        let mut rest = traffic.as_slice();
        for hour in week..end {
            let (these, later) = rest.split_at(rest.partition_point(|(at, _)| *at <= hour));
            rest = later;
            let rows: Vec<Traffic> = these.iter().map(|(_, row)| *row).collect();
            now.hour(&rows);
            then.hour(&rows);
            bar.inc(1);
        }
        week = end;
    }
    bar.finish_and_clear();
    let names = pages(async |after: Option<&(UserId, String)>| {
        store.usernames(after.map(|row| row.0), PAGE_MAX).await
    })
    .await?;
    Ok(Comparison {
        from: start,
        to: UnixTime(to.saturating_mul(HOUR_SECS)),
        now: now.finish(),
        tried: then.finish(),
        names,
    })
}

async fn read_history(store: &Store, from_hour: u32) -> Result<History> {
    Ok(History {
        members: pages(async |after: Option<&economy::simulate::Member>| {
            let after = after.map(|member| member.id);
            store.members_of_history(from_hour, after, PAGE_MAX).await
        })
        .await?,
        torrents: pages(async |after: Option<&economy::simulate::Torrent>| {
            let after = after.map(|torrent| torrent.id);
            store.torrents_of_history(after, PAGE_MAX).await
        })
        .await?,
        seedings: pages(async |after: Option<&economy::simulate::Seeding>| {
            let after = after.map(|seeding| (seeding.user, seeding.torrent));
            store.seedings_of_history(after, PAGE_MAX).await
        })
        .await?,
        snatches: pages(async |after: Option<&economy::simulate::Completed>| {
            let after = after.map(|snatch| (snatch.user, snatch.torrent));
            store.snatches_of_history(after, PAGE_MAX).await
        })
        .await?,
    })
}

/// In the order of the hours.
async fn read_traffic(store: &Store, hours: Range<u32>) -> Result<Vec<TrafficOfHour>> {
    pages(async |after: Option<&TrafficOfHour>| {
        let after = after.map(|(hour, row)| (row.user, row.torrent, *hour));
        store
            .traffic_of_history(hours.clone(), after, PAGE_MAX)
            .await
    })
    .await
}

/// All rows: each page begins after the last row of the one before, and the last isn't full.
async fn pages<T>(
    mut page: impl AsyncFnMut(Option<&T>) -> store::Result<Vec<T>>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let rows = page(all.last()).await?;
        let is_last = rows.len() < PAGE_MAX as usize;
        all.extend(rows);
        if is_last {
            return Ok(all);
        }
    }
}

fn bar(hours: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(hours);
    match ProgressStyle::with_template("{msg:>9} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Factors in the configuration go from 0 to 1000.
fn thousandths(factor: f64) -> u32 {
    (factor * 1000.0).round() as u32
}

impl Comparison {
    /// Accounts of both, beside each other: both have everybody, in one order.
    fn pairs(&self) -> impl Iterator<Item = (&Account, &Account)> {
        self.now.accounts.iter().zip(&self.tried.accounts)
    }

    fn name(&self, user: UserId) -> &str {
        let found = self.names.binary_search_by_key(&user, |(id, _)| *id);
        found
            .ok()
            .and_then(|place| self.names.get(place))
            .map_or("", |(_, name)| name)
    }

    fn table(&self) -> String {
        let end = UnixTime::default();
        let last = |outcome: &Outcome| {
            outcome.days.last().copied().unwrap_or(Day {
                at: end,
                ..Day::default()
            })
        };
        let (now, tried) = (last(&self.now), last(&self.tried));
        let hours = (self.to.0 - self.from.0) / HOUR_SECS;
        let (days, rest) = (hours / HOURS_A_DAY, hours % HOURS_A_DAY);
        let mut lines = vec![
            format!(
                "{} to {} ({days} days, {rest} hours)",
                shown(self.from),
                shown(self.to)
            ),
            String::new(),
            format!("{:<28}{:>16}{:>16}", "at the end", "in effect", "tried"),
        ];
        let mut row = |name: &str, now: String, tried: String| {
            lines.push(format!("{name:<28}{now:>16}{tried:>16}"));
        };
        row(
            "members",
            now.members.to_string(),
            tried.members.to_string(),
        );
        row(
            "credits in circulation",
            credits(now.supply_milli),
            credits(tried.supply_milli),
        );
        row(
            "median balance",
            credits(now.median_milli),
            credits(tried.median_milli),
        );
        row(
            "Gini coefficient",
            ratio(now.gini_milli),
            ratio(tried.gini_milli),
        );
        let sum = |outcome: &Outcome, part: fn(&Account) -> i64| {
            credits(
                outcome
                    .accounts
                    .iter()
                    .map(part)
                    .fold(0, i64::saturating_add),
            )
        };
        for (name, part) in SUMS {
            row(name, sum(&self.now, part), sum(&self.tried, part));
        }
        let classes = UserClass::ALL
            .into_iter()
            .zip(now.classes.iter().zip(&tried.classes));
        for (class, (now, tried)) in classes {
            row(class.name(), now.to_string(), tried.to_string());
        }
        row("warned", now.warned.to_string(), tried.warned.to_string());
        row(
            "without leech rights",
            now.suspended.to_string(),
            tried.suspended.to_string(),
        );
        let count = |is_it: fn(&(&Account, &Account)) -> bool| self.pairs().filter(is_it).count();
        lines.push(String::new());
        lines.push(format!(
            "gain: {}, lose: {}, class changes: {}, newly warned: {}, no longer warned: {}",
            count(|(now, tried)| tried.balance_milli > now.balance_milli),
            count(|(now, tried)| tried.balance_milli < now.balance_milli),
            count(|(now, tried)| tried.class != now.class),
            count(|(now, tried)| tried.is_warned && !now.is_warned),
            count(|(now, tried)| !tried.is_warned && now.is_warned),
        ));
        let mut changed: Vec<_> = self.pairs().filter(|pair| gain(pair) != 0).collect();
        changed.sort_by_key(|pair| (std::cmp::Reverse(gain(pair)), pair.0.user));
        let gainers = changed.iter().take_while(|pair| gain(pair) > 0);
        self.list("gain most", gainers.take(ROWS), &mut lines);
        let losers = changed.iter().rev().take_while(|pair| gain(pair) < 0);
        self.list("lose most", losers.take(ROWS), &mut lines);
        let classes: Vec<_> = self
            .pairs()
            .filter(|(now, tried)| now.class != tried.class)
            .collect();
        self.list("other class", classes.iter().take(ROWS), &mut lines);
        let warned: Vec<_> = self
            .pairs()
            .filter(|(now, tried)| tried.is_warned && !now.is_warned)
            .collect();
        self.list("newly warned", warned.iter().take(ROWS), &mut lines);
        lines.push(String::new());
        lines.extend(LIMITS.map(|limit| format!("Note: {limit}.")));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn list<'a>(
        &self,
        title: &str,
        pairs: impl Iterator<Item = &'a (&'a Account, &'a Account)>,
        lines: &mut Vec<String>,
    ) {
        let mut is_first = true;
        for (now, tried) in pairs {
            if std::mem::take(&mut is_first) {
                lines.push(String::new());
                lines.push(format!(
                    "{title:<33}{:>13}{:>13}  {:<18}warned",
                    "in effect", "tried", "class"
                ));
            }
            let class = if now.class == tried.class {
                now.class.name().to_owned()
            } else {
                format!("{} -> {}", now.class.name(), tried.class.name())
            };
            let line = format!(
                "{:<33}{:>13}{:>13}  {class:<18}{}",
                self.name(now.user),
                credits(now.balance_milli),
                credits(tried.balance_milli),
                if tried.is_warned { "yes" } else { "no" },
            );
            lines.push(line);
        }
    }

    fn json(&self) -> Value {
        let members: Vec<Value> = self
            .pairs()
            .map(|(now, tried)| {
                json!({
                    "username": self.name(now.user),
                    "joined_at": shown(now.joined_at),
                    "in_effect": account(now),
                    "tried": account(tried),
                })
            })
            .collect();
        json!({
            "from": shown(self.from),
            "to": shown(self.to),
            "notes": LIMITS,
            "days": {
                "in_effect": self.now.days.iter().map(day).collect::<Vec<_>>(),
                "tried": self.tried.days.iter().map(day).collect::<Vec<_>>(),
            },
            "members": members,
        })
    }
}

/// What something is called, and where it is.
type Part = (&'static str, fn(&Account) -> i64);

/// What money came from and went to.
const SUMS: [Part; 4] = [
    ("earned by uploading", |account| account.uploads_milli),
    ("earned by seeding", |account| account.seeding_milli),
    ("spent for downloads", |account| account.downloads_milli),
    ("owed for downloads", |account| account.owed_milli),
];

fn gain((now, tried): &(&Account, &Account)) -> i64 {
    tried.balance_milli.saturating_sub(now.balance_milli)
}

fn account(account: &Account) -> Value {
    let changes: Vec<Value> = account
        .changes
        .iter()
        .map(|(at, class)| json!({ "at": shown(*at), "class": class.name() }))
        .collect();
    json!({
        "balance_milli": account.balance_milli,
        "earned_uploads_milli": account.uploads_milli,
        "earned_seeding_milli": account.seeding_milli,
        "spent_downloads_milli": account.downloads_milli,
        "owed_milli": account.owed_milli,
        "class": account.class.name(),
        "class_changes": changes,
        "ratio_warnings": account.ratio_warnings,
        "snatch_warnings": account.snatch_warnings,
        "hit_and_runs": account.hit_and_runs,
        "open_hit_and_runs": account.open_hit_and_runs,
        "warned": account.is_warned,
        "suspended": account.is_suspended,
    })
}

fn day(day: &Day) -> Value {
    let classes: serde_json::Map<String, Value> = UserClass::ALL
        .into_iter()
        .zip(day.classes)
        .map(|(class, members)| (class.name().to_owned(), members.into()))
        .collect();
    json!({
        "at": shown(day.at),
        "members": day.members,
        "supply_milli": day.supply_milli,
        "issued_milli": day.issued_milli,
        "spent_milli": day.spent_milli,
        "median_milli": day.median_milli,
        "gini_milli": day.gini_milli,
        "classes": classes,
        "warned": day.warned,
        "suspended": day.suspended,
    })
}

fn time(hour: u32) -> String {
    shown(UnixTime(hour.saturating_mul(HOUR_SECS)))
}

fn shown(time: UnixTime) -> String {
    // 32 bits of seconds are years that it can write.
    jiff::Timestamp::from_second(time.0.into())
        .unwrap_or_default()
        .to_string()
}

/// `12.345`
fn credits(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    let milli = milli.unsigned_abs();
    format!("{sign}{}.{:03}", milli / 1000, milli % 1000)
}

fn ratio(milli: u32) -> String {
    credits(milli.into())
}
