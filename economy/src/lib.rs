//! # economy
//!
//! What sharing is worth: time, policy and counters in; decisions and amounts out. No IO, no clock, no floats.
//!
//! Start with [`policy`], what an operator may choose. Each of the others is one rule: traffic is counted by [`window`] and
//! priced by [`price`]; [`seeding`] pays for keeping torrents alive; [`class`], [`snatch`] and [`ratio`] judge a member; and
//! [`shop`] is what credit buys. [`simulate`] puts them all to work on recorded history. `docs/economy.md` has the formulas.
//!
//! Money is in thousandths of a credit (`_milli`), a GiB has 2^30 bytes and a day 86,400 seconds.

pub mod milli;
pub mod policy;

pub mod price;
pub mod window;

pub mod seeding;

pub mod class;
pub mod ratio;
pub mod snatch;

pub mod shop;

pub mod simulate;

use tracker_core::ids::UnixTime;

const GIB: u64 = 1 << 30;
const HOUR_SECS: u64 = 3600;
const DAY_SECS: u32 = 86_400;

/// Stays at the last second of [`UnixTime`] instead of wrapping round.
fn days_after(time: UnixTime, days: u32) -> UnixTime {
    UnixTime(time.0.saturating_add(days.saturating_mul(DAY_SECS)))
}
