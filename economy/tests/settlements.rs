//! From announces to entries, as a ledger would keep them: whatever the order of its work, the sums are the same.

use economy::policy::Policy;
use economy::price::{Earning, Factors, cost_milli, earned_milli, payable_milli};
use economy::seeding::{Seeded, hourly_milli};
use economy::shop::{buy, give};
use economy::window::{Counted, Scope, Who, Window, count};
use proptest::prelude::*;
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

const WHO: Who = Who {
    user: UserId(1),
    class: UserClass::Newbie,
    torrent: TorrentId(1),
};

/// One period of a member, with all that was entered for it.
#[derive(Clone, Debug, Default)]
struct Ledger {
    counted: Counted,
    earned: i64,
    paid: i64,
    balance: i64,
}

impl Ledger {
    /// Enters what isn't entered yet, and returns the entries: earned, paid.
    fn settle(&mut self, earning: &Earning, factors: Factors) -> (i64, i64) {
        let earned = earned_milli(earning, factors, self.counted.uploaded) - self.earned;
        self.earned += earned;
        self.balance += earned;
        let owed = cost_milli(earning, self.counted.downloaded) - self.paid;
        let paid = payable_milli(earning, self.balance, owed);
        self.paid += paid;
        self.balance -= paid;
        (earned, paid)
    }
}

/// What an announce adds, seconds after the one before, and whether the ledger is settled after it.
#[derive(Clone, Debug)]
struct Announce {
    secs: u32,
    growth: Counters,
    settle: bool,
}

fn announces() -> impl Strategy<Value = Vec<Announce>> {
    let bytes = || prop_oneof![0..1000_u64, 0..10_u64 << 30];
    let announce = (0..50_u32, bytes(), bytes(), any::<bool>());
    let announce = announce.prop_map(|(secs, uploaded, downloaded, settle)| Announce {
        secs,
        growth: Counters {
            uploaded,
            downloaded,
        },
        settle,
    });
    proptest::collection::vec(announce, 0..30)
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let scope = prop_oneof![Just(Scope::Global), Just(Scope::User(WHO.user))];
    let window = (scope, 0..=100_u16, 100..=300_u16, 0..1000_u32, 1..300_u32);
    let window = window.prop_map(|(scope, down, up, start, length)| Window {
        scope,
        download_percent: down,
        upload_percent: up,
        starts_at: UnixTime(start),
        ends_at: Some(UnixTime(start + length)),
    });
    proptest::collection::vec(window, 0..6)
}

fn earning(allow_debt: bool) -> impl Strategy<Value = (Earning, Factors)> {
    let numbers = (0..5000_u32, 0..5000_u32, 0..5000_u32, 100..=1000_u16);
    numbers.prop_map(move |(up, down, multiplier_milli, class_upload_percent)| {
        let earning = Earning {
            upload_milli_per_gib: up,
            download_milli_per_gib: down,
            allow_debt,
        };
        let factors = Factors {
            multiplier_milli,
            class_upload_percent,
        };
        (earning, factors)
    })
}

/// Takes the announces, settles after those that `settles` says, and after the last.
fn run(
    announces: &[Announce],
    windows: &[Window],
    (earning, factors): (Earning, Factors),
    settles: impl Fn(&Announce) -> bool,
) -> (Ledger, Vec<(i64, i64)>) {
    let mut ledger = Ledger::default();
    let mut entries = Vec::new();
    let mut last = UnixTime(0);
    for announce in announces {
        let now = UnixTime(last.0 + announce.secs);
        let counted = count(windows, &WHO, announce.growth, last, now);
        ledger.counted = ledger.counted.saturating_add(counted);
        last = now;
        if settles(announce) {
            entries.push(ledger.settle(&earning, factors));
        }
    }
    entries.push(ledger.settle(&earning, factors));
    (ledger, entries)
}

const MEMBERS: usize = 4;

/// What may happen to a member's credit.
#[derive(Clone, Debug)]
enum Event {
    Traffic { uploaded: u64, downloaded: u64 },
    Seeding { bytes: u64, seeders: u32 },
    Purchase { item: usize },
    Gift { to: usize, milli: i64 },
}

fn event() -> impl Strategy<Value = (usize, Event)> {
    let gib = || 0..5000_u64 << 30;
    let event = prop_oneof![
        (gib(), gib()).prop_map(|(uploaded, downloaded)| Event::Traffic {
            uploaded,
            downloaded
        }),
        (gib(), 0..5_u32).prop_map(|(bytes, seeders)| Event::Seeding { bytes, seeders }),
        (0..5_usize).prop_map(|item| Event::Purchase { item }),
        (0..MEMBERS, -1000..3_000_000_i64).prop_map(|(to, milli)| Event::Gift { to, milli }),
    ];
    (0..MEMBERS, event)
}

proptest! {
    /// Whatever members do with whom: each balance is the sum of its entries, gifts make nothing, and none is below 0 unless
    /// downloads may take it there.
    #[test]
    fn entries_sum_to_balances_and_gifts_to_nothing(
        events in proptest::collection::vec(event(), 0..60), rules in prop_oneof![earning(true), earning(false)]
    ) {
        let policy = Policy::default();
        let mut ledgers = vec![Ledger::default(); MEMBERS];
        let mut entries = vec![Vec::new(); MEMBERS];
        let mut gifts = 0;
        for (who, event) in events {
            match event {
                Event::Traffic { uploaded, downloaded } => {
                    let [uploaded, downloaded] = [uploaded, downloaded].map(|bytes| u128::from(bytes) * 100);
                    let more = Counted { uploaded, downloaded };
                    ledgers[who].counted = ledgers[who].counted.saturating_add(more);
                    let (earned, paid) = ledgers[who].settle(&rules.0, rules.1);
                    entries[who].extend([earned, -paid]);
                }
                Event::Seeding { bytes, seeders } => {
                    let seeded = Seeded { size: bytes, seeders, age_secs: 0 };
                    let paid = hourly_milli(&policy.seeding, ledgers[who].balance, [seeded].into_iter());
                    prop_assert!(paid >= 0);
                    ledgers[who].balance += paid;
                    entries[who].push(paid);
                }
                Event::Purchase { item } => {
                    let item = &policy.shop.items[item];
                    if let Ok(left) = buy(ledgers[who].balance, item) {
                        prop_assert!(left >= 0, "debt is for traffic");
                        ledgers[who].balance = left;
                        entries[who].push(-i64::from(item.price_milli));
                    }
                }
                // To oneself there are none.
                Event::Gift { to, milli } if to != who => {
                    let (from, of) = (ledgers[who].balance, ledgers[to].balance);
                    if let Ok((left, right)) = give(from, of, milli) {
                        prop_assert!(left >= 0, "debt is for traffic");
                        (ledgers[who].balance, ledgers[to].balance) = (left, right);
                        entries[who].push(left - from);
                        entries[to].push(right - of);
                        gifts += (left - from) + (right - of);
                    }
                }
                Event::Gift { .. } => {}
            }
        }
        prop_assert_eq!(gifts, 0);
        for (ledger, entries) in ledgers.iter().zip(entries) {
            prop_assert_eq!(ledger.balance, entries.iter().sum::<i64>());
            prop_assert!(rules.0.allow_debt || ledger.balance >= 0);
        }
    }

    #[test]
    fn however_it_is_cut_into_settlements_the_sum_is_the_same(
        announces in announces(), windows in windows(), rules in earning(true)
    ) {
        let (at_once, _) = run(&announces, &windows, rules, |_| false);
        for settles in [(|_: &Announce| true) as fn(&Announce) -> bool, |announce| announce.settle] {
            let (ledger, entries) = run(&announces, &windows, rules, settles);
            prop_assert_eq!(ledger.balance, at_once.balance);
            prop_assert_eq!((ledger.earned, ledger.paid), (at_once.earned, at_once.paid));
            let sum: i64 = entries.iter().map(|(earned, paid)| earned - paid).sum();
            prop_assert_eq!(sum, ledger.balance, "entries and balance");
            prop_assert!(entries.iter().all(|(earned, paid)| *earned >= 0 && *paid >= 0));
        }
    }

    #[test]
    fn settling_again_enters_nothing(
        announces in announces(), windows in windows(), rules in prop_oneof![earning(true), earning(false)]
    ) {
        let (mut ledger, _) = run(&announces, &windows, rules, |announce| announce.settle);
        let balance = ledger.balance;
        prop_assert_eq!(ledger.settle(&rules.0, rules.1), (0, 0));
        prop_assert_eq!(ledger.balance, balance);
    }

    /// Nobody is below 0 without debt, and what was owed is taken from what is earned later: nothing is forgotten.
    #[test]
    fn without_debt_no_balance_is_below_0_and_no_cost_forgotten(
        announces in announces(), windows in windows(), rules in earning(false), later in 0..100_u64 << 30
    ) {
        let (mut ledger, entries) = run(&announces, &windows, rules, |announce| announce.settle);
        let mut balance = 0;
        for (earned, paid) in entries {
            balance += earned - paid;
            prop_assert!(balance >= 0);
        }
        let later = Counted { uploaded: u128::from(later) * 100, downloaded: 0 };
        ledger.counted = ledger.counted.saturating_add(later);
        ledger.settle(&rules.0, rules.1);
        let owed = cost_milli(&rules.0, ledger.counted.downloaded);
        prop_assert_eq!(ledger.paid, owed.min(ledger.earned));
        prop_assert_eq!(ledger.balance, ledger.earned - ledger.paid);
    }

    /// Time is what splits an announce, not who looks when: two announces of an even pace count what one does.
    #[test]
    fn an_even_pace_counts_the_same_in_however_many_announces(
        windows in windows(), per_sec in (0..1000_u64, 0..1000_u64), secs in 1..1000_u32, at in 0..1000_u32
    ) {
        let growth = |secs: u32| Counters {
            uploaded: per_sec.0 * u64::from(secs),
            downloaded: per_sec.1 * u64::from(secs),
        };
        let at = at.min(secs);
        let [start, middle, end] = [0, at, secs].map(UnixTime);
        let two = count(&windows, &WHO, growth(at), start, middle)
            .saturating_add(count(&windows, &WHO, growth(secs - at), middle, end));
        prop_assert_eq!(two, count(&windows, &WHO, growth(secs), start, end));
    }
}
