//! What keeping torrents alive earns, by the hour.
//!
//! A torrent's reward is
//!
//! ```text
//! base × size × (1 + rarity / seeders) × (1 + age bonus × age)
//! ```
//!
//! with `size` in GiB up to `full_size`, and `age` as a share of `full_age_days`, up to 1. Size and age enter as straight
//! lines, so there is no step to sit behind, and ten small torrents earn what one of their size does. One seeder more changes
//! the rarity for all of them alike. What is rounded is the member's sum, once.
//!
//! A member gets the sum, up to a cap, in full with an empty balance and nothing with `full_balance_milli`; between them it is
//! a straight line too. So a hoard stops growing, and who spends earns again.

use crate::{DAY_SECS, GIB};

/// What the reward is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeding {
    /// For a GiB of a new torrent that countless others seed.
    pub base_milli_per_hour: u32,
    /// What a member gets at most, for all torrents.
    pub cap_milli_per_hour: u32,
    /// The balance with which seeding earns nothing any more; 0: it always earns the same.
    pub full_balance_milli: u32,
    /// Bytes up to which a torrent's size counts.
    pub full_size: u64,
    /// What the only seeder gets more; two get half of it each, and so on.
    pub rarity_bonus_percent: u32,
    /// What seeding a torrent of `full_age_days` gets more.
    pub age_bonus_percent: u32,
    /// Days up to which a torrent's age counts.
    pub full_age_days: u32,
}

/// A torrent that a member seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// Bytes.
    pub size: u64,
    /// Members who seed it, this one among them.
    pub seeders: u32,
    /// How long the site has had it.
    pub age_secs: u32,
}

/// What one torrent is worth for an hour, rounded down: never less with more bytes, fewer seeders or more age.
pub fn reward_milli(rules: &Seeding, torrent: &Seeded) -> u64 {
    u64::try_from(reward_millionths(rules, torrent) / MILLIONTHS).unwrap_or(u64::MAX)
}

/// What a member with that balance gets for an hour of seeding all of them.
pub fn hourly_milli(
    rules: &Seeding,
    balance_milli: i64,
    torrents: impl Iterator<Item = Seeded>,
) -> i64 {
    payout_milli(rules, balance_milli, sum_millionths(rules, torrents))
}

/// What an hour of seeding all of them is worth, in millionths of a thousandth.
pub fn sum_millionths(rules: &Seeding, torrents: impl Iterator<Item = Seeded>) -> u128 {
    torrents
        .map(|torrent| reward_millionths(rules, &torrent))
        .fold(0, u128::saturating_add)
}

/// What a member with that balance is paid for such a sum: it or the cap, less what the balance takes, rounded down.
pub fn payout_milli(rules: &Seeding, balance_milli: i64, sum_millionths: u128) -> i64 {
    let cap = u128::from(rules.cap_milli_per_hour);
    let mut millionths = sum_millionths.min(cap * MILLIONTHS);
    if rules.full_balance_milli > 0 {
        let full = u128::from(rules.full_balance_milli);
        let balance = u128::try_from(balance_milli).unwrap_or(0); // a debt is no balance
        millionths = millionths * full.saturating_sub(balance) / full;
    }
    (millionths / MILLIONTHS) as i64 // at most the cap, a u32
}

const MILLIONTHS: u128 = 1_000_000;

/// In millionths of a thousandth, so that rounding each torrent costs nobody anything.
pub(crate) fn reward_millionths(rules: &Seeding, torrent: &Seeded) -> u128 {
    let size = u128::from(torrent.size.min(rules.full_size));
    let rarity_millionths = MILLIONTHS
        + u128::from(rules.rarity_bonus_percent) * (MILLIONTHS / 100)
            / u128::from(torrent.seeders.max(1));
    let full_age = u128::from(rules.full_age_days) * u128::from(DAY_SECS);
    let age = u128::from(torrent.age_secs).min(full_age);
    let age_millionths = MILLIONTHS
        + u128::from(rules.age_bonus_percent) * (MILLIONTHS / 100) * age / full_age.max(1);
    size.saturating_mul(rules.base_milli_per_hour.into())
        .saturating_mul(rarity_millionths)
        .saturating_mul(age_millionths)
        / (u128::from(GIB) * MILLIONTHS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Seeding = Seeding {
        base_milli_per_hour: 10,
        cap_milli_per_hour: 1000,
        full_balance_milli: 0,
        full_size: 20 * GIB,
        rarity_bonus_percent: 200,
        age_bonus_percent: 100,
        full_age_days: 100,
    };

    const PLAIN: Seeded = Seeded {
        size: GIB,
        seeders: u32::MAX,
        age_secs: 0,
    };

    fn days(days: u32) -> u32 {
        days * DAY_SECS
    }

    #[test]
    fn a_torrent_is_worth_its_size_rarity_and_age() {
        let seeded = |size, seeders, age_secs| Seeded {
            size,
            seeders,
            age_secs,
        };
        let many = u32::MAX;
        let table = [
            ("a GiB among many", seeded(GIB, many, 0), 10),
            ("a byte less", seeded(GIB - 1, many, 0), 9),
            ("nothing", seeded(0, 1, days(100)), 0),
            ("full size", seeded(20 * GIB, many, 0), 200),
            ("more than full size", seeded(21 * GIB, many, 0), 200),
            ("the only seeder", seeded(GIB, 1, 0), 30),
            ("nobody, which is the only one", seeded(GIB, 0, 0), 30),
            ("one of two", seeded(GIB, 2, 0), 20),
            ("one of four", seeded(GIB, 4, 0), 15),
            ("half the full age", seeded(GIB, many, days(50)), 15),
            (
                "a second before the full age",
                seeded(GIB, many, days(100) - 1),
                19,
            ),
            ("full age", seeded(GIB, many, days(100)), 20),
            ("more than full age", seeded(GIB, many, u32::MAX), 20),
            ("all at once", seeded(20 * GIB, 1, days(100)), 1200),
        ];
        for (name, torrent, expected) in table {
            assert_eq!(reward_milli(&RULES, &torrent), expected, "{name}");
        }
        let free = Seeding {
            base_milli_per_hour: 0,
            ..RULES
        };
        assert_eq!(reward_milli(&free, &PLAIN), 0, "where it earns nothing");
    }

    #[test]
    fn a_member_gets_the_sum_up_to_the_cap() {
        let hourly =
            |torrent: Seeded, times| hourly_milli(&RULES, 0, std::iter::repeat_n(torrent, times));
        assert_eq!(hourly(PLAIN, 0), 0);
        assert_eq!(hourly(PLAIN, 99), 990);
        assert_eq!(hourly(PLAIN, 100), 1000);
        assert_eq!(hourly(PLAIN, 101), 1000);
        let tenth = Seeded {
            size: GIB / 100,
            ..PLAIN
        };
        assert_eq!(reward_milli(&RULES, &tenth), 0);
        assert_eq!(
            hourly(tenth, 1001),
            100,
            "small ones add up before they are rounded"
        );
    }

    /// Each row: a balance, and what is left of 1000 an hour, where 2000 is the full balance.
    #[test]
    fn what_a_member_holds_lessens_what_they_get() {
        let rules = Seeding {
            full_balance_milli: 2000,
            ..RULES
        };
        let table = [
            (i64::MIN, 1000),
            (-1, 1000),
            (0, 1000),
            (1, 999), // 999.5
            (2, 999),
            (3, 998),
            (500, 750),
            (1000, 500),
            (1998, 1),
            (1999, 0),
            (2000, 0),
            (2001, 0),
            (i64::MAX, 0),
        ];
        for (balance, expected) in table {
            let hourly = |rules| hourly_milli(rules, balance, std::iter::repeat_n(PLAIN, 100));
            assert_eq!(hourly(&rules), expected, "{balance}");
            assert_eq!(hourly(&RULES), 1000, "{balance}, without a full one");
        }
        let beyond_the_cap = hourly_milli(&rules, 1000, std::iter::repeat_n(PLAIN, 150));
        assert_eq!(beyond_the_cap, 500, "the cap comes first");
    }

    fn any_rules() -> impl Strategy<Value = Seeding> {
        (
            0..=1_000_000_u32,
            0..=1_000_000_000_u32,
            prop_oneof![Just(0), 0..=1_000_000_000_u32],
            0..=1_u64 << 44,
            0..=10_000_u32,
            0..=10_000_u32,
            0..=36_500_u32,
        )
            .prop_map(
                |(base, cap, full_balance_milli, full_size, rarity, age, full_age_days)| Seeding {
                    base_milli_per_hour: base,
                    cap_milli_per_hour: cap,
                    full_balance_milli,
                    full_size,
                    rarity_bonus_percent: rarity,
                    age_bonus_percent: age,
                    full_age_days,
                },
            )
    }

    fn any_seeded() -> impl Strategy<Value = Seeded> {
        let size = prop_oneof![0..=1_u64 << 40, any::<u64>()];
        let seeders = prop_oneof![0..20_u32, any::<u32>()];
        (size, seeders, any::<u32>()).prop_map(|(size, seeders, age_secs)| Seeded {
            size,
            seeders,
            age_secs,
        })
    }

    fn any_balance() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -1000..2_000_000_000_i64]
    }

    proptest! {
        #[test]
        fn larger_rarer_and_older_is_never_worth_less(
            rules in any_rules(), torrent in any_seeded(), other in any_seeded()
        ) {
            let better = Seeded {
                size: torrent.size.max(other.size),
                seeders: torrent.seeders.min(other.seeders),
                age_secs: torrent.age_secs.max(other.age_secs),
            };
            for each in [
                Seeded { size: better.size, ..torrent },
                Seeded { seeders: better.seeders, ..torrent },
                Seeded { age_secs: better.age_secs, ..torrent },
                better,
            ] {
                prop_assert!(reward_milli(&rules, &each) >= reward_milli(&rules, &torrent));
            }
        }

        #[test]
        fn nobody_gets_more_than_the_cap_or_less_for_more(
            rules in any_rules(), torrents in proptest::collection::vec(any_seeded(), 0..20), more in any_seeded()
        ) {
            let some = hourly_milli(&rules, 0, torrents.iter().copied());
            let all = hourly_milli(&rules, 0, torrents.iter().copied().chain([more]));
            prop_assert!(0 <= some && some <= all && all <= rules.cap_milli_per_hour.into());
            let alone: u64 = torrents.iter().map(|torrent| reward_milli(&rules, torrent)).sum();
            prop_assert!(some >= i64::from(rules.cap_milli_per_hour).min(alone as i64));
        }

        /// Who has more gets no more, and nobody comes beyond the full balance by seeding.
        #[test]
        fn a_larger_balance_never_earns_more_and_a_full_one_nothing(
            rules in any_rules(), torrents in proptest::collection::vec(any_seeded(), 0..20), balances in (any_balance(), any_balance())
        ) {
            let hourly = |balance| hourly_milli(&rules, balance, torrents.iter().copied());
            let (less, more) = (balances.0.min(balances.1), balances.0.max(balances.1));
            prop_assert!(hourly(less) >= hourly(more));
            prop_assert_eq!(hourly(less.min(0)), hourly(0), "debts aren't rewarded");
            let full = i64::from(rules.full_balance_milli);
            if full > 0 {
                prop_assert_eq!(hourly(full.max(more)), 0);
                // A policy has room for an hour at least.
                let balance = less.clamp(0, full);
                if full >= rules.cap_milli_per_hour.into() {
                    prop_assert!(balance + hourly(balance) <= full);
                }
            } else {
                prop_assert_eq!(hourly(more), hourly(0));
            }
        }

        /// Nothing to gain from one torrent in many pieces, or many in one: but for a thousandth that is rounded.
        #[test]
        fn pieces_are_worth_what_the_whole_is(pieces in 1..50_u64, piece in 0..=GIB / 3, seeders in 0..10_u32, age_secs in any::<u32>()) {
            let rules = Seeding { cap_milli_per_hour: u32::MAX, ..RULES };
            let of = |size| Seeded { size, seeders, age_secs };
            let whole = hourly_milli(&rules, 0, [of(piece * pieces)].into_iter());
            let parts = hourly_milli(&rules, 0, (0..pieces).map(|_| of(piece)));
            prop_assert!(whole - parts <= 1 && parts <= whole);
        }
    }
}
