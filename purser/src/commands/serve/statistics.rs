//! What is counted now and then, beside the API.

use std::time::Duration;

use anyhow::Result;
use store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Between two counts of each torrent's peers.
const PERIOD: Duration = Duration::from_secs(60);

/// Until told to stop. While the database is away, nothing is counted.
pub(super) async fn keep_counting(store: Store, mut stopped: watch::Receiver<bool>) -> Result<()> {
    // Not at once: a start has enough to do.
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|&stop| stop) => return Ok(()),
        }
        if let Err(error) = store.count_peers().await {
            tracing::warn!(%error, "torrents' peers can't be counted");
        }
    }
}
