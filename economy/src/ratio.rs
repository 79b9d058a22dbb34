//! Ratio watch: who takes far more than they give is warned, then may take no more, until it is mended.

use tracker_core::ids::UnixTime;

use crate::days_after;

/// Whom it looks at, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatioWatch {
    /// Whether anybody looks.
    pub enabled: bool,
    /// Bytes downloaded from which on a ratio says something.
    pub min_downloaded: u64,
    /// Days between the warning and the loss of leech rights.
    pub grace_days: u32,
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing to say.
    Fine,
    /// The ratio is too low from now on: the time of this is to be remembered as `since`, and the member warned.
    Begins {
        /// When leech rights go.
        until: UnixTime,
    },
    /// The ratio is still too low.
    Watched {
        /// When leech rights go.
        until: UnixTime,
    },
    /// Too low for too long: no leech rights.
    Suspended,
    /// It was too low, and isn't any more: `since` is to be forgotten, and leech rights are back.
    Mended,
}

/// Where a member is now. `min_ratio_milli` is the site's `credits.min_ratio_warning`, times 1000; `since` is when it began.
pub fn watch(
    rules: &RatioWatch,
    min_ratio_milli: u64,
    uploaded: u64,
    downloaded: u64,
    since: Option<UnixTime>,
    now: UnixTime,
) -> Watch {
    let is_low = rules.enabled
        && downloaded >= rules.min_downloaded
        && u128::from(uploaded) * 1000 < u128::from(downloaded) * u128::from(min_ratio_milli);
    match (is_low, since) {
        (false, None) => Watch::Fine,
        (false, Some(_)) => Watch::Mended,
        (true, None) => Watch::Begins {
            until: days_after(now, rules.grace_days),
        },
        (true, Some(since)) => {
            let until = days_after(since, rules.grace_days);
            if now >= until {
                Watch::Suspended
            } else {
                Watch::Watched { until }
            }
        }
    }
}
