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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DAY_SECS, GIB};

    const RULES: RatioWatch = RatioWatch {
        enabled: true,
        min_downloaded: 10 * GIB,
        grace_days: 14,
    };
    const NOW: UnixTime = UnixTime(1_000_000_000);
    const GRACE_SECS: u32 = 14 * DAY_SECS;

    /// Each row: uploaded, downloaded, how long it lasts, and where the member is, at a least ratio of 0.5.
    #[test]
    fn a_low_ratio_is_watched_then_suspended_then_mended() {
        let until = |secs: u32| UnixTime(NOW.0 + secs);
        let (low, enough) = (5 * GIB - 1, 5 * GIB);
        let taken = 10 * GIB;
        let table = [
            ("enough to the byte", enough, taken, None, Watch::Fine),
            (
                "a byte too little",
                low,
                taken,
                None,
                Watch::Begins {
                    until: until(GRACE_SECS),
                },
            ),
            ("too little was taken", 0, taken - 1, None, Watch::Fine),
            ("nothing", 0, 0, None, Watch::Fine),
            (
                "watched",
                low,
                taken,
                Some(0),
                Watch::Watched {
                    until: until(GRACE_SECS),
                },
            ),
            (
                "the last second",
                low,
                taken,
                Some(GRACE_SECS - 1),
                Watch::Watched { until: until(1) },
            ),
            (
                "the time is over",
                low,
                taken,
                Some(GRACE_SECS),
                Watch::Suspended,
            ),
            (
                "long over",
                low,
                taken,
                Some(10 * GRACE_SECS),
                Watch::Suspended,
            ),
            ("mended in time", enough, taken, Some(5), Watch::Mended),
            (
                "mended later",
                enough,
                taken,
                Some(10 * GRACE_SECS),
                Watch::Mended,
            ),
            (
                "the largest",
                u64::MAX / 2,
                u64::MAX,
                None,
                Watch::Begins {
                    until: until(GRACE_SECS),
                },
            ),
        ];
        for (name, uploaded, downloaded, lasts, expected) in table {
            let since = lasts.map(|secs| UnixTime(NOW.0 - secs));
            let is = watch(&RULES, 500, uploaded, downloaded, since, NOW);
            assert_eq!(is, expected, "{name}");
        }
    }

    #[test]
    fn who_is_not_watched_any_more_has_mended_it() {
        let off = RatioWatch {
            enabled: false,
            ..RULES
        };
        let watched = Some(UnixTime(1));
        assert_eq!(watch(&off, 500, 0, 10 * GIB, watched, NOW), Watch::Mended);
        assert_eq!(watch(&off, 500, 0, 10 * GIB, None, NOW), Watch::Fine);
        assert_eq!(watch(&RULES, 0, 0, 10 * GIB, watched, NOW), Watch::Mended);
    }

    #[test]
    fn without_grace_or_threshold_it_still_takes_a_download() {
        let strict = RatioWatch {
            min_downloaded: 0,
            grace_days: 0,
            ..RULES
        };
        assert_eq!(watch(&strict, 500, 0, 0, None, NOW), Watch::Fine);
        assert_eq!(
            watch(&strict, 500, 0, 1, None, NOW),
            Watch::Begins { until: NOW }
        );
        assert_eq!(watch(&strict, 500, 0, 1, Some(NOW), NOW), Watch::Suspended);
    }
}
