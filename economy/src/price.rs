//! From counted traffic to money.
//!
//! An amount is a function of a period's whole traffic, rounded once. What a settlement enters is that amount minus what was
//! entered for the period before: so however a period is cut into settlements, the sum is the same, and settling again
//! enters nothing. A period has one price and one set of [`Factors`]: when they change, another begins.

use crate::GIB;

/// What traffic earns and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earning {
    /// For an uploaded GiB.
    pub upload_milli_per_gib: u32,
    /// For a downloaded GiB: 0 where downloading is free.
    pub download_milli_per_gib: u32,
    /// Whether downloading may take a balance below 0.
    pub allow_debt: bool,
}

/// What a period's earnings are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// The site's `credits.multiplier`, times 1000.
    pub multiplier_milli: u32,
    /// The member's class's.
    pub class_upload_percent: u16,
}

impl Factors {
    /// Neither more nor less.
    pub const ONE: Self = Self {
        multiplier_milli: 1000,
        class_upload_percent: 100,
    };
}

/// Above this nothing is counted: 10^12 credits, far from the end of what a database's integers hold.
const MOST_MILLI: i64 = 1_000_000_000_000_000;

/// What a period's uploads have earned so far, rounded down.
pub fn earned_milli(earning: &Earning, factors: Factors, uploaded_hundredths: u128) -> i64 {
    // Whoever gets to the end of a u128 is beyond MOST_MILLI after the division too.
    let product = uploaded_hundredths
        .saturating_mul(earning.upload_milli_per_gib.into())
        .saturating_mul(factors.multiplier_milli.into())
        .saturating_mul(factors.class_upload_percent.into());
    amount(product / (100 * u128::from(GIB) * 1000 * 100))
}

/// What a period's downloads have cost so far, rounded down.
pub fn cost_milli(earning: &Earning, downloaded_hundredths: u128) -> i64 {
    let product = downloaded_hundredths.saturating_mul(earning.download_milli_per_gib.into());
    amount(product / (100 * u128::from(GIB)))
}

/// What can be taken now of a cost that isn't entered yet. Without debt that is what the balance has, and the rest stays to
/// be entered later: it isn't forgotten, as costs are cumulative.
pub fn payable_milli(earning: &Earning, balance_milli: i64, cost_milli: i64) -> i64 {
    let cost = cost_milli.max(0);
    if earning.allow_debt {
        cost
    } else {
        cost.min(balance_milli.max(0))
    }
}

fn amount(milli: u128) -> i64 {
    i64::try_from(milli).map_or(MOST_MILLI, |milli| milli.min(MOST_MILLI))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EARNING: Earning = Earning {
        upload_milli_per_gib: 1000,
        download_milli_per_gib: 300,
        allow_debt: false,
    };

    fn factors(multiplier_milli: u32, class_upload_percent: u16) -> Factors {
        Factors {
            multiplier_milli,
            class_upload_percent,
        }
    }

    /// A GiB, uncounted: 100 hundredths a byte.
    const GIB_PLAIN: u128 = (GIB as u128) * 100;

    #[test]
    fn uploads_earn_by_the_gib_times_all_factors() {
        let table = [
            ("nothing", Factors::ONE, 0, 0),
            ("a GiB", Factors::ONE, GIB_PLAIN, 1000),
            ("a byte less", Factors::ONE, GIB_PLAIN - 100, 999),
            (
                "the least that earns",
                Factors::ONE,
                GIB_PLAIN.div_ceil(1000),
                1,
            ),
            (
                "a hundredth less",
                Factors::ONE,
                GIB_PLAIN.div_ceil(1000) - 1,
                0,
            ),
            ("a multiplier of 1.5", factors(1500, 100), GIB_PLAIN, 1500),
            ("a class of 110 %", factors(1000, 110), GIB_PLAIN, 1100),
            (
                "both, in a window of 200 %",
                factors(1500, 110),
                2 * GIB_PLAIN,
                3300,
            ),
            ("no multiplier", factors(0, 100), GIB_PLAIN, 0),
            (
                "as much as there is",
                factors(u32::MAX, u16::MAX),
                u128::MAX,
                MOST_MILLI,
            ),
        ];
        for (name, factors, hundredths, expected) in table {
            assert_eq!(
                earned_milli(&EARNING, factors, hundredths),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn downloads_cost_by_the_gib() {
        let table = [
            ("nothing", 300, 0, 0),
            ("a GiB", 300, GIB_PLAIN, 300),
            ("a byte less", 300, GIB_PLAIN - 100, 299),
            ("at half price", 300, GIB_PLAIN / 2, 150),
            ("where it is free", 0, GIB_PLAIN, 0),
            ("as much as there is", u32::MAX, u128::MAX, MOST_MILLI),
        ];
        for (name, download_milli_per_gib, hundredths, expected) in table {
            let earning = Earning {
                download_milli_per_gib,
                ..EARNING
            };
            assert_eq!(cost_milli(&earning, hundredths), expected, "{name}");
        }
    }

    /// Each row: balance, cost, what is taken without debt, and with it.
    #[test]
    fn a_cost_is_taken_from_what_there_is() {
        let table = [
            (100, 0, 0, 0),
            (100, 99, 99, 99),
            (100, 100, 100, 100),
            (100, 101, 100, 101),
            (0, 5, 0, 5),
            (-3, 5, 0, 5),
            (100, -5, 0, 0),
            (i64::MIN, i64::MAX, 0, i64::MAX),
        ];
        for (balance, cost, without, with) in table {
            let debt = Earning {
                allow_debt: true,
                ..EARNING
            };
            assert_eq!(
                payable_milli(&EARNING, balance, cost),
                without,
                "{balance}, {cost}"
            );
            assert_eq!(
                payable_milli(&debt, balance, cost),
                with,
                "{balance}, {cost}, debt"
            );
        }
    }

    proptest! {
        #[test]
        fn more_traffic_is_never_worth_less(one in any::<u128>(), other in any::<u128>(), multiplier in any::<u32>()) {
            let factors = factors(multiplier, 137);
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(earned_milli(&EARNING, factors, less) <= earned_milli(&EARNING, factors, more));
            prop_assert!(cost_milli(&EARNING, less) <= cost_milli(&EARNING, more));
        }
    }
}
