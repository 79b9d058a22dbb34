//! Answers that are the same for whoever may ask and cost the database more than a look-up: they are kept for some seconds,
//! in this process and, where there is a Redis, for the site's other API processes.
//!
//! What is a member's own (stats, balance) is not kept here: it costs a look-up, and who has changed something must see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracker_core::key::TokenKey;

use crate::problem::Problem;
use crate::redis::Redis;

/// What is kept. There is no more of it than this, so that it needs no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hot {
    /// The popular torrents.
    Popular,
    /// How the site is.
    Dashboard,
    /// What was shut out.
    Security,
}

impl Hot {
    const ALL: [Self; 3] = [Self::Popular, Self::Dashboard, Self::Security];

    /// As its key in Redis.
    fn name(self) -> &'static str {
        match self {
            Self::Popular => "popular",
            Self::Dashboard => "dashboard",
            Self::Security => "security",
        }
    }

    /// How old it may be. Peers are counted once a minute, so the popular ones lose little; a dashboard is a pass over
    /// members, torrents and sessions.
    const fn age(self) -> Duration {
        Duration::from_secs(match self {
            Self::Popular => 10,
            Self::Dashboard | Self::Security => 5,
        })
    }
}

/// Keeps answers. A clone is another handle to the same ones.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Inner>);

struct Inner {
    redis: Option<Redis>,
    /// What keys in Redis begin with: another site, and another version's JSON, have others.
    prefix: String,
    slots: [Mutex<Slot>; Hot::ALL.len()],
}

/// Locked while an answer is found out, so that it is found out once for all who wait.
#[derive(Default)]
struct Slot {
    kept: Option<Kept>,
    /// Whoever waited for this is refused too, instead of waiting as long again.
    failed: Option<(Instant, Problem)>,
}

struct Kept {
    json: Bytes,
    until: Instant,
}

impl Cache {
    pub(crate) fn new(key: &TokenKey, redis: Option<Redis>) -> Self {
        let site = hex::encode(&key.derive("purser cache v1")[..8]);
        let version = env!("CARGO_PKG_VERSION");
        Self(Arc::new(Inner {
            redis,
            prefix: format!("purser:cache:{version}:{site}"),
            slots: Default::default(),
        }))
    }

    /// The JSON of an answer: as it was kept, or as `compute` says now.
    pub(crate) async fn get<T: Serialize>(
        &self,
        hot: Hot,
        compute: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Bytes, Problem> {
        let arrived = Instant::now();
        let mut slot = self.slot(hot).lock().await;
        if let Some(kept) = slot.kept.as_ref().filter(|kept| kept.is_fresh()) {
            return Ok(kept.json.clone());
        }
        if let Some((at, problem)) = &slot.failed
            && *at > arrived
        {
            return Err(problem.clone());
        }
        let kept = match self.shared(hot).await {
            Some(kept) => kept,
            None => match compute.await.and_then(|answer| json(&answer)) {
                Ok(json) => self.keep(hot, json).await,
                Err(problem) => {
                    slot.failed = Some((Instant::now(), problem.clone()));
                    return Err(problem);
                }
            },
        };
        let json = kept.json.clone();
        slot.kept = Some(kept);
        Ok(json)
    }

    /// After a change, so that whoever made it sees it. Another process may show what it has until that is too old.
    pub(crate) async fn forget(&self, hot: Hot) {
        let mut slot = self.slot(hot).lock().await;
        slot.kept = None;
        if let Some(redis) = &self.0.redis {
            // Away: it has nothing to show either.
            let _ = redis.delete(&self.key(hot)).await;
        }
    }

    /// What another process has found out. It gets no older here than it would there.
    async fn shared(&self, hot: Hot) -> Option<Kept> {
        let redis = self.0.redis.as_ref()?;
        let (json, left) = redis.get(&self.key(hot)).await.ok()??;
        Some(Kept {
            json: json.into(),
            until: Instant::now() + left.min(hot.age()),
        })
    }

    async fn keep(&self, hot: Hot, json: Bytes) -> Kept {
        let until = Instant::now() + hot.age();
        if let Some(redis) = &self.0.redis {
            let _ = redis.set(&self.key(hot), &json, hot.age()).await;
        }
        Kept { json, until }
    }

    fn key(&self, hot: Hot) -> String {
        format!("{}:{}", self.0.prefix, hot.name())
    }

    fn slot(&self, hot: Hot) -> &Mutex<Slot> {
        &self.0.slots[hot as usize]
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }
}

/// An answer as it is sent.
pub(crate) fn json(answer: &impl Serialize) -> Result<Bytes, Problem> {
    let json = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer can't be written");
        Problem::INTERNAL
    })?;
    Ok(json.into())
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    /// Counts how often it is asked, and takes its time.
    #[derive(Default)]
    struct Question(AtomicU32);

    impl Question {
        async fn ask(&self) -> Result<u32, Problem> {
            sleep(Duration::from_millis(100)).await;
            Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
        }

        async fn fail(&self) -> Result<u32, Problem> {
            self.ask().await.and(Err(Problem::UNAVAILABLE))
        }

        fn asked(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn cache() -> Cache {
        Cache::new(&TokenKey::from_bytes([7; 32]), None)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_at_once_wait_for_one_answer() {
        let (cache, question) = (cache(), Question::default());
        let get = || cache.get(Hot::Popular, question.ask());
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!(a, Ok(Bytes::from("1")));
        assert!(a == b && b == c);
        assert_eq!(question.asked(), 1);
        let other = cache.get(Hot::Dashboard, question.ask()).await;
        assert_eq!(other, Ok(Bytes::from("2")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_until_it_is_too_old_or_something_changes() {
        let (cache, question) = (cache(), Question::default());
        let get = || cache.get(Hot::Popular, question.ask());
        assert_eq!(get().await, Ok(Bytes::from("1")));
        advance(Hot::Popular.age() - Duration::from_millis(1)).await;
        assert_eq!(get().await, Ok(Bytes::from("1")));
        advance(Duration::from_millis(1)).await;
        assert_eq!(get().await, Ok(Bytes::from("2")));
        cache.forget(Hot::Dashboard).await;
        assert_eq!(get().await, Ok(Bytes::from("2")));
        cache.forget(Hot::Popular).await;
        assert_eq!(get().await, Ok(Bytes::from("3")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_for_those_who_waited_for_it_alone() {
        let (cache, question) = (cache(), Question::default());
        let get = || cache.get(Hot::Popular, question.fail());
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!(a, Err(Problem::UNAVAILABLE));
        assert!(a == b && b == c);
        assert_eq!(question.asked(), 1);
        advance(Duration::from_millis(1)).await;
        let good = cache.get(Hot::Popular, question.ask()).await;
        assert_eq!(good, Ok(Bytes::from("2")));
    }
}
