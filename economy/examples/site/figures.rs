//! What is printed.

use std::collections::HashMap;

use economy::policy::Policy;
use economy::simulate::{Account, History, Outcome, Simulation};
use tracker_core::ids::UserId;
use tracker_core::registry::UserClass;

use crate::world::MEMBERS_BEFORE;
use crate::{DAY, START};

/// Days between two rows.
const STEP: usize = 15;

/// One of the two things that members could do.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// Day by day, credits a member of those who were there on the first day.
    pub(crate) of_the_first: Vec<f64>,
}

/// Credits a member of those who were there on the first day: newcomers bring the mean down, and these show where it rests.
pub(crate) fn of_the_first(simulation: &Simulation<'_>) -> f64 {
    let first = simulation.accounts().take(MEMBERS_BEFORE as usize);
    credits(first.map(|account| account.balance_milli).sum()) / f64::from(MEMBERS_BEFORE)
}

pub(crate) fn print_days(run: &Run) {
    println!(
        "\n{}:\nday members   supply a member      + % first ones issued/day spent/day median  Gini newbie member trusted elite % warned % no rights %",
        run.name
    );
    let mut before = None;
    let days = run.outcome.days.iter().zip(&run.of_the_first).enumerate();
    for (place, (day, of_the_first)) in days.filter(|(place, _)| (place + 1) % STEP == 0) {
        let percent = |count: u64| count as f64 * 100.0 / day.members as f64;
        let [newbie, member, trusted, elite] = day.classes.map(percent);
        let a_member = credits(day.supply_milli) / day.members as f64;
        let more = before.map_or(0.0, |before| (a_member / before - 1.0) * 100.0);
        before = Some(a_member);
        println!(
            "{:>3} {:>7} {:>8} {a_member:>8.1} {more:>8.1} {of_the_first:>10.1} {:>10.2} {:>9.2} {:>6.1} {:>5.3} {newbie:>6.1} {member:>6.1} {trusted:>7.1} {elite:>7.1} {:>8.1} {:>11.1}",
            place + 1,
            day.members,
            day.supply_milli / 1000,
            credits(day.issued_milli) / day.members as f64,
            credits(day.spent_milli) / day.members as f64,
            credits(day.median_milli),
            f64::from(day.gini_milli) / 1000.0,
            percent(day.warned),
            percent(day.suspended),
        );
    }
}

/// Of those who have joined since the first day and were there for 30 days.
pub(crate) fn print_newcomers(run: &Run, policy: &Policy, history: &History, minds: &[bool]) {
    let end = run.outcome.days.last().map_or(START, |day| day.at.0);
    let age_days = |account: &Account| end.saturating_sub(account.joined_at.0) / DAY;
    let is_new = |account: &&Account| account.joined_at.0 >= START && age_days(account) >= 30;
    let newcomers: Vec<&Account> = run.outcome.accounts.iter().filter(is_new).collect();
    let mut snatches: HashMap<UserId, u32> = HashMap::new();
    for snatch in &history.snatches {
        *snatches.entry(snatch.user).or_default() += 1;
    }
    let is_active = |account: &Account| snatches.get(&account.user).is_some_and(|all| *all >= 10);
    let minds = |account: &Account| {
        let place = account.user.0 as usize - 1;
        minds.get(place).is_some_and(|minds| *minds)
    };
    let rises_in_time = |account: &Account| {
        let up = |change: &&(_, UserClass)| change.1 > UserClass::Newbie;
        let risen = account.changes.iter().find(up);
        risen.is_some_and(|(at, _)| at.secs_since(account.joined_at) <= 30 * DAY)
    };
    let runs = |account: &Account| {
        let most = policy.hit_and_run.max_open;
        account.is_suspended && account.open_hit_and_runs > most
    };
    let print = |name: &str, those: &[&Account]| {
        let share = |is_it: &dyn Fn(&Account) -> bool| {
            let count = those.iter().filter(|account| is_it(account)).count();
            count as f64 * 100.0 / those.len().max(1) as f64
        };
        println!(
            "{name:<32} {:>5}: member within 30 days {:>4.1} %, ever warned for the ratio {:>4.1} %, for a snatch {:>4.1} %, ever ran {:>4.1} %, without leech rights at the end {:>4.1} % (for the ratio alone {:>4.1} %)",
            those.len(),
            share(&rises_in_time),
            share(&|account| account.ratio_warnings > 0),
            share(&|account| account.snatch_warnings > 0),
            share(&|account| account.hit_and_runs > 0),
            share(&|account| account.is_suspended),
            share(&|account| account.is_suspended && !runs(account)),
        );
    };
    let part = |is_it: &dyn Fn(&Account) -> bool| -> Vec<&Account> {
        let those = newcomers.iter().filter(|account| is_it(account));
        those.copied().collect()
    };
    println!("\n{}, newcomers who have had 30 days:", run.name);
    print("all", &newcomers);
    print(
        "ten snatches, mind warnings",
        &part(&|account| is_active(account) && minds(account)),
    );
    print(
        "ten snatches, never mind them",
        &part(&|account| is_active(account) && !minds(account)),
    );
    print("fewer snatches", &part(&|account| !is_active(account)));
    let cheapest = policy.shop.items.iter().map(|item| item.price_milli).min();
    let cheapest = i64::from(cheapest.unwrap_or_default());
    // Who joined 30 days ago has now what they have after 30 days.
    let month = part(&|account| age_days(account) < 35);
    let able = month
        .iter()
        .filter(|account| account.balance_milli >= cheapest);
    println!(
        "after 30 to 35 days {:.1} % of {} can buy the cheapest item",
        able.count() as f64 * 100.0 / month.len().max(1) as f64,
        month.len()
    );
}

pub(crate) fn print_sources(outcome: &Outcome) {
    let sum = |part: fn(&Account) -> i64| outcome.accounts.iter().map(part).sum::<i64>() / 1000;
    println!(
        "\nearned by uploads {}, by seeding {}; spent on downloads {}, in the shop {}",
        sum(|account| account.uploads_milli),
        sum(|account| account.seeding_milli),
        sum(|account| account.downloads_milli),
        sum(|account| account.bought_milli)
    );
    let accounts = outcome.accounts.iter();
    let mut balances: Vec<i64> = accounts.map(|account| account.balance_milli).collect();
    balances.sort_unstable_by(|one, other| other.cmp(one));
    let all: i64 = balances.iter().sum();
    let top: i64 = balances.iter().take(balances.len() / 100).sum();
    println!(
        "the richest hundredth has {} % of it",
        top * 100 / all.max(1)
    );
    let most = balances.first().copied().unwrap_or_default();
    println!("the largest balance is {:.0}", credits(most));
}

fn credits(milli: i64) -> f64 {
    milli as f64 / 1000.0
}
