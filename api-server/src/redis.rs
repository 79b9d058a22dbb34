//! Redis, as far as the API uses it: what it holds can be lost at any moment, and nothing waits long for it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::RedisConnectionManager;
use bb8_redis::bb8::Pool;
use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{AsyncCommands, RedisResult, pipe};
use parking_lot::Mutex;
use tokio::time::timeout;

/// A request waits no longer: whatever Redis would have said, it can be answered without.
const PATIENCE: Duration = Duration::from_millis(250);

/// After a failure nobody asks for this long, so that a Redis that is away holds up one request in some seconds.
const REST: Duration = Duration::from_secs(2);

/// Connections at most.
const CONNECTIONS: u32 = 8;

/// A pool of connections, made when they are needed.
#[derive(Clone)]
pub struct Redis {
    pool: Pool<RedisConnectionManager>,
    away_since: Arc<Mutex<Option<Instant>>>,
}

/// Redis didn't answer, or not in time.
#[derive(Debug)]
pub(crate) struct Away;

impl Redis {
    /// For `redis://HOST:PORT`. Nobody is asked yet: it may be away, and come.
    ///
    /// # Errors
    ///
    /// When it isn't such a URL.
    pub fn new(url: &str) -> Result<Self, String> {
        let manager = RedisConnectionManager::new(url).map_err(|error| error.to_string())?;
        let pool = Pool::builder()
            .max_size(CONNECTIONS)
            .connection_timeout(PATIENCE)
            .build_unchecked(manager);
        Ok(Self {
            pool,
            away_since: Arc::default(),
        })
    }

    /// Counts one more under a key that is forgotten after so many seconds.
    pub(crate) async fn increment(&self, key: &str, secs: u32) -> Result<u32, Away> {
        self.ask(async |connection| {
            let (count,): (u32,) = pipe()
                .atomic()
                .incr(key, 1)
                .expire(key, secs.into())
                .ignore()
                .query_async(connection)
                .await?;
            Ok(count)
        })
        .await
    }

    /// What is kept under a key, and for how long still.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>, Away> {
        let (value, millis): (Option<Vec<u8>>, i64) = self
            .ask(async |connection| {
                let mut both = pipe();
                both.atomic().get(key).pttl(key);
                both.query_async(connection).await
            })
            .await?;
        // Below zero: it isn't there, or has no end, and then it isn't ours.
        let left = u64::try_from(millis).map(Duration::from_millis);
        Ok(value.zip(left.ok()))
    }

    /// Keeps something for so long.
    pub(crate) async fn set(&self, key: &str, value: &[u8], time: Duration) -> Result<(), Away> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ask(async |connection| connection.pset_ex(key, value, millis).await)
            .await
    }

    /// Forgets it.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Away> {
        self.ask(async |connection| connection.del(key).await).await
    }

    async fn ask<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let is_resting = |since: Instant| since.elapsed() < REST;
        if self.away_since.lock().is_some_and(is_resting) {
            return Err(Away);
        }
        let asked = timeout(PATIENCE, async {
            let connection = self.pool.get().await;
            let mut connection = connection.map_err(|error| error.to_string())?;
            work(&mut connection)
                .await
                .map_err(|error| error.to_string())
        });
        let error = match asked.await {
            Ok(Ok(answer)) => {
                *self.away_since.lock() = None;
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => "no answer in time".to_owned(),
        };
        let first = self.away_since.lock().replace(Instant::now()).is_none();
        if first {
            tracing::warn!(error, "Redis can't be used: this process goes on by itself");
        }
        Err(Away)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}
