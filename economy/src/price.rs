//! From counted traffic to money.
//!
//! An amount is a function of a period's whole traffic, rounded once. What a settlement enters is that amount minus what was
//! entered for the period before: so however a period is cut into settlements, the sum is the same, and settling again
//! enters nothing. A period has one set of [`Factors`]: when they change, another begins.

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
