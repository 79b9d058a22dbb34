//! How often somebody may call: so many in a window of time. Counted in Redis, so that all API processes count together;
//! without one, or while it is away, each counts by itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tracker_core::ids::UnixTime;

use crate::redis::{Away, Redis};

/// Entries of the in-process table before those of past windows are thrown out.
const TIDY_AT: usize = 10_000;

/// So many in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What is counted: part of the key in Redis, and the policy's name in headers.
    pub(crate) name: &'static str,
    pub(crate) most: u32,
    pub(crate) secs: u32,
}

/// How somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) quota: Quota,
    /// In this window, with this one.
    pub(crate) count: u32,
    /// Seconds to the window's end.
    pub(crate) reset: u32,
}

impl Standing {
    pub(crate) fn is_over(&self) -> bool {
        self.count > self.quota.most
    }

    pub(crate) fn remaining(&self) -> u32 {
        self.quota.most.saturating_sub(self.count)
    }
}

/// Counts. A clone is another handle to the same counts.
#[derive(Clone)]
pub(crate) struct Limits(Arc<Inner>);

struct Inner {
    redis: Option<Redis>,
    here: Mutex<HashMap<String, (u32, u32)>>,
}

impl Limits {
    pub(crate) fn new(redis: Option<Redis>) -> Self {
        Self(Arc::new(Inner {
            redis,
            here: Mutex::default(),
        }))
    }

    /// Counts one more of `who`.
    pub(crate) async fn count(&self, quota: Quota, who: &str, now: UnixTime) -> Standing {
        let window = now.0 / quota.secs;
        let reset = quota.secs - now.0 % quota.secs;
        let key = format!("purser:limit:{}:{window}:{who}", quota.name);
        let count = match &self.0.redis {
            None => self.count_here(key, window * quota.secs + quota.secs, now),
            Some(redis) => match redis.increment(&key, quota.secs).await {
                Ok(count) => count,
                Err(Away) => self.count_here(key, window * quota.secs + quota.secs, now),
            },
        };
        Standing {
            quota,
            count,
            reset,
        }
    }

    fn count_here(&self, key: String, end: u32, now: UnixTime) -> u32 {
        let mut here = self.0.here.lock();
        if here.len() >= TIDY_AT {
            here.retain(|_, (end, _)| *end > now.0);
        }
        let (_, count) = here.entry(key).or_insert((end, 0));
        *count = count.saturating_add(1);
        *count
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        name: "test",
        most: 2,
        secs: 60,
    };

    #[tokio::test]
    async fn a_window_has_so_many_and_the_next_one_begins_anew() {
        let limits = Limits::new(None);
        let at = |secs: u32| UnixTime(1_800_000_000 + secs);
        assert_eq!(limits.count(QUOTA, "a", at(0)).await.remaining(), 1);
        let second = limits.count(QUOTA, "a", at(59)).await;
        assert!(!second.is_over());
        assert_eq!((second.remaining(), second.reset), (0, 1));
        assert!(limits.count(QUOTA, "a", at(59)).await.is_over());
        assert!(!limits.count(QUOTA, "b", at(59)).await.is_over());
        assert!(!limits.count(QUOTA, "a", at(60)).await.is_over());
    }

    #[tokio::test]
    async fn past_windows_are_thrown_out() {
        let limits = Limits::new(None);
        for n in 0..TIDY_AT {
            limits
                .count(QUOTA, &n.to_string(), UnixTime(1_800_000_000))
                .await;
        }
        limits.count(QUOTA, "late", UnixTime(1_800_000_060)).await;
        assert_eq!(limits.0.here.lock().len(), 1);
    }
}
