#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::GIB;
use crate::seeding::hourly_milli;
use crate::window::Scope;

const DAY: u32 = 86_400;
const START: UnixTime = UnixTime(20_000 * DAY);

fn member(id: u32) -> Member {
    Member {
        id: UserId(id),
        joined_at: UnixTime(START.0 - 100 * DAY),
        class: UserClass::Newbie,
        before: Counters::default(),
    }
}

fn torrent(id: u32) -> Torrent {
    Torrent {
        id: TorrentId(id),
        uploader: None,
        size: GIB,
        created_at: START,
    }
}

fn row(user: u32, torrent: u32, uploaded: u64, downloaded: u64) -> Traffic {
    Traffic {
        user: UserId(user),
        torrent: TorrentId(torrent),
        moved: Counters {
            uploaded,
            downloaded,
        },
    }
}

fn rules<'a>(policy: &'a Policy, windows: &'a [Window]) -> Rules<'a> {
    Rules {
        policy,
        windows,
        multiplier_milli: 1000,
        min_ratio_milli: 500,
    }
}

fn run(rules: Rules<'_>, history: &History, hours: u32, traffic: &[(u32, Traffic)]) -> Outcome {
    let mut simulation = Simulation::new(rules, history, START);
    for hour in 0..hours {
        let rows: Vec<Traffic> = traffic
            .iter()
            .filter(|(at, _)| *at == hour)
            .map(|(_, row)| *row)
            .collect();
        simulation.hour(&rows);
    }
    simulation.finish()
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap()
}

#[test]
fn a_window_doubles_just_what_lies_in_it() {
    let history = History {
        members: vec![member(1)],
        torrents: vec![torrent(1)],
        ..History::default()
    };
    let traffic: Vec<_> = (0..48).map(|hour| (hour, row(1, 1, GIB, GIB))).collect();
    let policy =
        policy("[earning]\ndownload_milli_per_gib = 100\n[classes.member]\nmin_uploaded = 0");
    // From half past the tenth hour to the end of the eleventh.
    let window = Window {
        scope: Scope::Global,
        download_percent: 0,
        upload_percent: 200,
        starts_at: UnixTime(START.0 + 10 * 3600 + 1800),
        ends_at: Some(UnixTime(START.0 + 12 * 3600)),
    };
    let plain = run(rules(&policy, &[]), &history, 48, &traffic);
    let doubled = run(rules(&policy, &[window]), &history, 48, &traffic);
    assert_eq!(plain.accounts[0].uploads_milli, 48_000);
    assert_eq!(doubled.accounts[0].uploads_milli, 49_500);
    assert_eq!(plain.accounts[0].downloads_milli, 4800);
    assert_eq!(doubled.accounts[0].downloads_milli, 4650);
    assert_eq!(doubled.days[1].issued_milli, plain.days[1].issued_milli);
}

#[test]
fn seeding_is_paid_as_the_rule_has_it() {
    let policy = Policy::default();
    let seeding = |user, hours: u32| Seeding {
        user: UserId(user),
        torrent: TorrentId(1),
        from: START,
        to: UnixTime(START.0 + hours * 3600),
        secs: hours * 3600,
    };
    let mut large = torrent(1);
    large.size = 50 * GIB;
    let history = History {
        members: vec![member(1), member(2)],
        torrents: vec![large],
        seedings: vec![seeding(1, 10), seeding(2, 4)],
        ..History::default()
    };
    let outcome = run(rules(&policy, &[]), &history, 24, &[]);
    // How many seeded it, hour by hour.
    let paid = |seeders: &[u32]| {
        (0..).zip(seeders).fold(0, |balance, (hour, seeders)| {
            let torrent = Seeded {
                size: large.size,
                seeders: *seeders,
                age_secs: hour * 3600,
            };
            balance + hourly_milli(&policy.seeding, balance, [torrent].into_iter())
        })
    };
    assert_eq!(
        outcome.accounts[0].seeding_milli,
        paid(&[2, 2, 2, 2, 1, 1, 1, 1, 1, 1])
    );
    assert_eq!(outcome.accounts[1].seeding_milli, paid(&[2; 4]));
}

#[test]
fn who_runs_is_warned_and_then_suspended() {
    let policy = policy("[hit_and_run]\nmax_open = 0");
    let history = History {
        members: vec![member(1), member(2), member(3)],
        torrents: vec![torrent(1)],
        seedings: vec![Seeding {
            user: UserId(2),
            torrent: TorrentId(1),
            from: START,
            to: UnixTime(START.0 + 72 * 3600),
            secs: 72 * 3600,
        }],
        snatches: [1, 2, 3]
            .map(|user| Completed {
                user: UserId(user),
                torrent: TorrentId(1),
                completed_at: START,
            })
            .to_vec(),
    };
    // The third gives back what they took by uploading it.
    let outcome = run(
        rules(&policy, &[]),
        &history,
        20 * 24,
        &[(1, row(3, 1, GIB, 0))],
    );
    let of = |user: usize| {
        let account = &outcome.accounts[user];
        let (warnings, runs) = (account.snatch_warnings, account.hit_and_runs);
        (warnings, runs, account.is_suspended)
    };
    assert_eq!(of(0), (1, 1, true));
    assert_eq!(of(1), (0, 0, false));
    assert_eq!(of(2), (0, 0, false));
    let first = |is_it: fn(&Day) -> bool| outcome.days.iter().position(is_it).unwrap() + 1;
    assert_eq!(
        (first(|day| day.warned > 0), first(|day| day.suspended > 0)),
        (11, 14)
    );
}

#[test]
fn settling_in_the_shop_takes_the_price_and_the_hit_and_run() {
    let policy = policy("[hit_and_run]\nmax_open = 0");
    let history = History {
        members: vec![member(1)],
        torrents: vec![torrent(1)],
        snatches: vec![Completed {
            user: UserId(1),
            torrent: TorrentId(1),
            completed_at: START,
        }],
        ..History::default()
    };
    let item = policy.shop.item("settle-hit-and-run").unwrap();
    let mut simulation = Simulation::new(rules(&policy, &[]), &history, START);
    assert!(simulation.buy(UserId(1), item).is_err(), "no money");
    for hour in 0..20 * 24 {
        let rich = row(1, 2, 2100 * GIB, 0); // in another torrent
        simulation.hour(if hour == 0 {
            std::slice::from_ref(&rich)
        } else {
            &[]
        });
    }
    assert!(simulation.accounts().next().unwrap().is_suspended);
    simulation.buy(UserId(1), item).unwrap();
    for _ in 0..24 {
        simulation.hour(&[]);
    }
    let outcome = simulation.finish();
    assert!(!outcome.accounts[0].is_suspended);
    assert_eq!(outcome.accounts[0].balance_milli, 100_000);
    assert_eq!(outcome.days.last().unwrap().spent_milli, 2_000_000);
}

#[test]
fn who_takes_and_does_not_give_is_watched() {
    let policy = Policy::default();
    let history = History {
        members: vec![member(1)],
        torrents: vec![torrent(1)],
        ..History::default()
    };
    let traffic = [
        (0, row(1, 1, GIB, 20 * GIB)),
        (24 * 20, row(1, 1, 40 * GIB, 0)),
    ];
    let outcome = run(rules(&policy, &[]), &history, 24 * 22, &traffic);
    assert_eq!(outcome.accounts[0].ratio_warnings, 1);
    let warned: u64 = outcome.days.iter().map(|day| day.warned).sum();
    let suspended: u64 = outcome.days.iter().map(|day| day.suspended).sum();
    assert_eq!((warned, suspended), (20, 6));
    let risen = [(UnixTime(START.0 + 21 * DAY), UserClass::Member)];
    assert_eq!(outcome.accounts[0].changes, risen);
}

#[test]
fn who_joins_later_counts_from_then_on() {
    let policy = Policy::default();
    let mut late = member(2);
    late.joined_at = UnixTime(START.0 + 2 * DAY);
    let history = History {
        members: vec![late, member(1)],
        ..History::default()
    };
    let outcome = run(rules(&policy, &[]), &history, 4 * 24 + 1, &[]);
    let members: Vec<u64> = outcome.days.iter().map(|day| day.members).collect();
    assert_eq!(members, [1, 1, 2, 2, 2]);
    assert_eq!(outcome.accounts[0].user, UserId(1), "in their order");
}

#[test]
fn gini_is_0_for_equals_and_near_1_for_one_who_has_all() {
    assert_eq!(gini_milli(&[]), 0);
    assert_eq!(gini_milli(&[0, 0]), 0);
    assert_eq!(gini_milli(&[5, 5, 5]), 0);
    assert_eq!(gini_milli(&[0, 0, 0, 8]), 750);
    assert_eq!(gini_milli(&[-5, 0, 0, 8]), 750);
    assert_eq!(gini_milli(&[i64::MAX, i64::MAX]), 0);
}

proptest! {
    /// Whatever happened: balances are what came into being less what was spent, in all and for each member.
    #[test]
    fn money_is_conserved(
        rows in proptest::collection::vec((0_u32..60, 1_u32..6, 1_u32..4, 0_u64..300 * GIB, 0_u64..300 * GIB), 0..40),
        spans in proptest::collection::vec((1_u32..6, 1_u32..4, 0_u32..60, 1_u32..60, 0_u32..200_000), 0..20),
        debt: bool,
        freeleech: bool,
    ) {
        let text = format!("[earning]\ndownload_milli_per_gib = 300\nallow_debt = {debt}");
        let policy = policy(&text);
        let windows = [Window {
            scope: Scope::Class(UserClass::Member),
            download_percent: if freeleech { 0 } else { 50 },
            upload_percent: 300,
            starts_at: UnixTime(START.0 + 30_000),
            ends_at: None,
        }];
        let history = History {
            members: (1..5).map(member).collect(), // not the fifth: their traffic is nobody's
            torrents: (1..4).map(torrent).collect(),
            seedings: spans
                .into_iter()
                .map(|(user, torrent, from, hours, secs)| Seeding {
                    user: UserId(user),
                    torrent: TorrentId(torrent),
                    from: UnixTime(START.0 + from * 3600),
                    to: UnixTime(START.0 + (from + hours) * 3600),
                    secs,
                })
                .collect(),
            ..History::default()
        };
        let traffic: Vec<_> = rows
            .into_iter()
            .map(|(hour, user, torrent, up, down)| (hour, row(user, torrent, up, down)))
            .collect();
        let outcome = run(rules(&policy, &windows), &history, 61, &traffic);
        let mut sum = 0;
        for day in &outcome.days {
            sum += day.issued_milli - day.spent_milli;
            prop_assert_eq!(day.supply_milli, sum);
            prop_assert_eq!(day.classes.iter().sum::<u64>(), day.members);
        }
        prop_assert_eq!(sum, outcome.accounts.iter().map(|account| account.balance_milli).sum::<i64>());
        for account in &outcome.accounts {
            let earned = account.uploads_milli + account.seeding_milli;
            prop_assert_eq!(account.balance_milli, earned - account.downloads_milli - account.bought_milli);
            prop_assert!(debt || account.balance_milli >= 0);
        }
        prop_assert_eq!(outcome, run(rules(&policy, &windows), &history, 61, &traffic), "once more is the same");
    }
}
