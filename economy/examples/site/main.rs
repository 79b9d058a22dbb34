//! A site that doesn't exist: 90 days, from 5,500 members to 10,000, with the default policy or another.
//!
//! ```sh
//! cargo run --release -p economy --example site -- docs/economy.svg [DAYS [POLICY.toml]]
//! ```
//!
//! Prints the figures of docs/economy.md and draws its picture. Whole numbers and a fixed seed: the same on every machine.
//! Nobody sends what nobody takes: what is uploaded is what is downloaded, so the mean ratio is 1. [`world`] has what members
//! do; here is what they buy.

mod figures;
mod world;

use std::error::Error;

use economy::policy::{Policy, Ware};
use economy::simulate::{Account, Rules, Simulation, plot};
use figures::Run;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::UserClass;
use world::{Random, Site};

const SEED: u64 = 20_260_101;
const DAYS: u32 = 90;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;
/// 2026-01-01.
const START: u32 = 1_767_225_600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let picture = args.next().ok_or("where does the picture go?")?;
    let days = args.next().map_or(Ok(DAYS), |days| days.parse())?;
    let policy = match args.next() {
        Some(path) => Policy::parse(&std::fs::read_to_string(path)?)?,
        None => Policy::default(),
    };
    let rules = Rules {
        policy: &policy,
        windows: &policy.windows,
        multiplier_milli: 1000,
        min_ratio_milli: 500,
    };

    // Once for what there was, once more for its traffic, which needn't be kept so.
    let mut first = Site::new(days, policy.hit_and_run);
    (0..days * 24).for_each(|hour| first.hour(hour));
    let history = &first.history;
    let mut site = Site::new(days, policy.hit_and_run);
    let mut buying = Simulation::new(rules, history, UnixTime(START));
    let mut saving = Simulation::new(rules, history, UnixTime(START));
    let mut random = Random(SEED + 1);
    let (mut rows, mut bytes) = (0, 0_u64);
    let (mut first_of_buying, mut first_of_saving) = (Vec::new(), Vec::new());
    let mut sold = vec![0_u64; policy.shop.items.len()];
    for hour in 0..days * 24 {
        site.hour(hour);
        let traffic = site.traffic();
        rows += traffic.len();
        bytes += traffic.iter().map(|row| row.moved.downloaded).sum::<u64>();
        saving.hour(&traffic);
        if buying.hour(&traffic) {
            first_of_buying.push(figures::of_the_first(&buying));
            first_of_saving.push(figures::of_the_first(&saving));
            go_shopping(&mut buying, &policy, &mut random, &mut sold)?;
        }
    }
    println!(
        "{} members, {} torrents, {} snatches, {} TiB, {rows} rows of traffic",
        history.members.len(),
        history.torrents.len(),
        history.snatches.len(),
        bytes >> 40
    );
    let buying = Run {
        name: "with the shop",
        outcome: buying.finish(),
        of_the_first: first_of_buying,
    };
    let saving = Run {
        name: "nobody buys",
        outcome: saving.finish(),
        of_the_first: first_of_saving,
    };
    for run in [&buying, &saving] {
        figures::print_days(run);
    }
    for run in [&buying, &saving] {
        figures::print_newcomers(run, &policy, history, &first.minds);
    }
    figures::print_sources(&buying.outcome);
    for (item, count) in policy.shop.items.iter().zip(sold) {
        println!("sold: {:>6} {}", count, item.id);
    }
    let runs = [&saving, &buying].map(|run| (run.name, run.outcome.days.as_slice()));
    std::fs::write(picture, plot(&runs))?;
    Ok(())
}

/// What people want, once a day: first what keeps them here, then what they like, if they can afford it.
fn go_shopping(
    simulation: &mut Simulation<'_>,
    policy: &Policy,
    random: &mut Random,
    sold: &mut [u64],
) -> Result<(), Box<dyn Error>> {
    let now = UnixTime(simulation.next_hour() * HOUR);
    let wishes: Vec<(UserId, usize)> = simulation
        .accounts()
        .filter_map(|account| {
            let wish = random.below(1000);
            let wanted = |ware: &Ware| match ware {
                Ware::SettleHitAndRun => account.is_suspended && account.open_hit_and_runs > 0,
                Ware::UploadCredit { .. } => account.is_watched || is_stuck(account, now, policy),
                // Every two weeks, and every two months.
                Ware::FreeleechToken { .. } => wish < 70,
                Ware::Invite => (70..87).contains(&wish),
            };
            let mut affordable = policy.shop.items.iter().enumerate().filter(|(_, item)| {
                i64::from(item.price_milli) <= account.balance_milli && wanted(&item.what)
            });
            affordable.next().map(|(place, _)| (account.user, place))
        })
        .collect();
    for (user, place) in wishes {
        if let (Some(item), Some(count)) = (policy.shop.items.get(place), sold.get_mut(place)) {
            simulation.buy(user, item)?;
            *count += 1;
        }
    }
    Ok(())
}

/// Old enough for the next class, and not in it.
fn is_stuck(account: &Account, now: UnixTime, policy: &Policy) -> bool {
    let age_days = now.secs_since(account.joined_at) / DAY;
    account.class == UserClass::Newbie && age_days >= policy.class(UserClass::Member).min_age_days
}
