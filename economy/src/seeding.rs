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

use crate::{DAY_SECS, GIB};

/// What the reward is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeding {
    /// For a GiB of a new torrent that countless others seed.
    pub base_milli_per_hour: u32,
    /// What a member gets at most, for all torrents.
    pub cap_milli_per_hour: u32,
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

/// What a member gets for an hour of seeding all of them: the sum, or the cap.
pub fn hourly_milli(rules: &Seeding, torrents: impl Iterator<Item = Seeded>) -> i64 {
    let sum = torrents
        .map(|torrent| reward_millionths(rules, &torrent))
        .fold(0, u128::saturating_add);
    let milli = sum / MILLIONTHS;
    milli.min(rules.cap_milli_per_hour.into()) as i64 // a u32, after this
}

const MILLIONTHS: u128 = 1_000_000;

/// In millionths of a thousandth, so that rounding each torrent costs nobody anything.
fn reward_millionths(rules: &Seeding, torrent: &Seeded) -> u128 {
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
