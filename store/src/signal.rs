//! Who follows the changes is woken by them, instead of waiting for the next poll. A hint, no more: a wake-up may come
//! for nothing, and one may be lost with a connection, so that a follower polls beside it.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::Store;
use crate::store::{PATIENCE, Pools};

/// What [`changes`](crate::changes) notifies, without a payload: what has changed is in the table.
const CHANNEL: &str = "purser_changes";

/// Between two attempts to listen, while the database is away. The follower polls meanwhile.
const RETRY_PERIOD: Duration = Duration::from_secs(1);

/// Wakes one follower. On Postgres it holds a connection of its own beside the pool's, while somebody waits.
pub struct ChangeSignal {
    woken: watch::Receiver<()>,
    /// Never ends. It lives here, not in [`changed`](Self::changed), whose callers give up waiting again and again:
    /// each time half a connection would be thrown away.
    listening: Pin<Box<dyn Future<Output = Infallible> + Send>>,
}

impl Store {
    /// A signal for what is committed from now on, through any clone of this store; and on Postgres by any other
    /// process. On SQLite, other processes' changes are found by polling alone.
    pub fn change_signal(&self) -> ChangeSignal {
        let listening: Pin<Box<dyn Future<Output = Infallible> + Send>> = match &self.pools {
            Pools::Sqlite { .. } => Box::pin(pending()),
            Pools::Postgres(pool) => Box::pin(listen(pool.clone(), self.waker.clone())),
        };
        ChangeSignal {
            woken: self.waker.subscribe(),
            listening,
        }
    }
}

impl ChangeSignal {
    /// Returns when something may have changed since it returned last, which is also whenever listening begins (again):
    /// what was said before, nobody heard. May be dropped and called again; no wake-up is lost by that.
    pub async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.woken.changed() => {}
            never = &mut self.listening => match never {},
        }
    }
}

/// Turns Postgres's notifications into wake-ups. Trouble is for the poll to report.
async fn listen(pool: PgPool, waker: watch::Sender<()>) -> Infallible {
    // Not one of the pool's connections: closing the pool would wait for it.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    loop {
        let Err(_away) = hear(&own, &waker).await;
        sleep(RETRY_PERIOD).await;
    }
}

async fn hear(pool: &PgPool, waker: &watch::Sender<()>) -> Result<Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        waker.send_replace(());
        // A notification, or none because the connection was lost and made anew: both wake.
        listener.try_recv().await?;
    }
}
