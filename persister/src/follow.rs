//! The site's changes, read in order and taken into the tracker's memory. A change only names a row; the row is read as
//! it is now, so reading one twice does no harm.

use std::sync::Arc;
use std::time::Duration;

use store::{Change, ChangeId, Changed, Result, Store, StoreError};
use tokio::sync::watch;
use tokio::time::timeout;
use tracker_core::tracker::Tracker;

/// The promise is two seconds.
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// Changes read at a time.
const PAGE: u32 = 1000;

/// Keeps one tracker's memory in step with the database.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    tracker: Arc<Tracker>,
    mark: ChangeId,
}

impl Follower {
    /// From where [`load`](crate::load::load) stopped.
    pub fn new(store: Store, tracker: Arc<Tracker>, mark: ChangeId) -> Self {
        Self {
            store,
            tracker,
            mark,
        }
    }

    /// Follows until told to stop. A database that is away is asked again, and nothing is missed.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut was_away = false;
        while !*stopped.borrow() {
            match self.catch_up().await {
                Ok(_) if was_away => {
                    was_away = false;
                    tracing::info!("following the site's changes again");
                }
                Ok(_) => {}
                Err(error) if !was_away => {
                    was_away = true;
                    tracing::warn!(%error, "can't follow the site's changes, trying on");
                }
                Err(_) => {}
            }
            let _ = timeout(POLL_PERIOD, stopped.wait_for(|&stop| stop)).await;
        }
    }

    /// Applies what has changed since the last time; returns how many changes that were.
    pub async fn catch_up(&mut self) -> Result<usize> {
        let mut applied = 0;
        loop {
            let changes = self.store.changes_after(self.mark, PAGE).await?;
            for change in &changes {
                match self.apply(change).await {
                    // Asking again won't mend such a row, and the changes after it must go on.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        tracing::error!(change = change.id.0, %error, "passing over a change");
                    }
                    applied => applied?,
                }
                self.mark = change.id;
            }
            applied += changes.len();
            if changes.len() < PAGE as usize {
                return Ok(applied);
            }
        }
    }

    async fn apply(&self, change: &Change) -> Result<()> {
        match change.what {
            Changed::User(id) => match self.store.member(id).await? {
                Some(member) => self.tracker.roster.put_member(member),
                None => self.tracker.roster.remove_member(id),
            },
            Changed::Torrent(id) => match self.store.torrent(id).await? {
                Some(torrent) => self.tracker.swarms.put_torrent(&torrent),
                None => self.tracker.swarms.remove_torrent(id),
            },
            Changed::Token(id) => {
                if let Some(revoked) = self.store.token_revocation(id).await? {
                    self.tracker.roster.revoke(revoked);
                }
            }
            Changed::Other => tracing::debug!(id = change.id.0, "a change of an unknown kind"),
        }
        Ok(())
    }
}
