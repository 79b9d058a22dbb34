//! The site's changes, read in order and taken into the tracker's memory. A change only names a row; the row is read as
//! it is now, so reading one twice does no harm.

use std::sync::Arc;
use std::time::Duration;

use store::{Change, ChangeId, Changed, Result, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracker_core::ids::UnixTime;
use tracker_core::tracker::Tracker;

use crate::load::{load_client_rules, load_ip_blocks};

/// The promise is two seconds. Mostly a signal comes first; the poll finds what no signal told, such as another process's
/// change in SQLite.
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// Changes read at a time.
const PAGE: u32 = 1000;

/// How often old changes are deleted: so 240,000 a day can go, far more than a site makes.
const PRUNE_PERIOD: Duration = Duration::from_secs(3600);

/// A week. Whoever follows is seconds behind, and whoever can't reach the database so long may as well start again.
const KEEP_SECS: u32 = 7 * 24 * 3600;

/// Keeps one tracker's memory in step with the database.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    tracker: Arc<Tracker>,
    mark: ChangeId,
    poll_period: Duration,
    prune_at: Instant,
}

/// Why the changes can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database's trouble, which may pass.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// Nothing but loading the site again would help.
    #[error(
        "the changes after {} aren't there any more: away from the database for too long, or it was restored from a backup. \
         Start again to load the site anew",
        .0.0
    )]
    Missed(ChangeId),
}

impl Follower {
    /// From where [`load`](crate::load::load) stopped.
    pub fn new(store: Store, tracker: Arc<Tracker>, mark: ChangeId) -> Self {
        Self {
            store,
            tracker,
            mark,
            poll_period: POLL_PERIOD,
            prune_at: Instant::now(),
        }
    }

    /// Looks so often when nothing wakes it, instead of each second.
    pub fn polling_every(mut self, period: Duration) -> Self {
        self.poll_period = period;
        self
    }

    /// Follows until told to stop, or until it has [missed](FollowError::Missed) something. A database that is away is
    /// asked again.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Result<(), FollowError> {
        // Before the first look, so that nothing comes unseen between the two.
        let mut signal = self.store.change_signal();
        let mut was_away = false;
        while !*stopped.borrow() {
            match self.catch_up().await {
                Ok(_) if was_away => {
                    was_away = false;
                    tracing::info!("following the site's changes again");
                }
                Ok(_) => self.prune_when_due().await,
                Err(missed @ FollowError::Missed(_)) => return Err(missed),
                Err(error) if !was_away => {
                    was_away = true;
                    tracing::warn!(%error, "can't follow the site's changes, trying on");
                }
                Err(_) => {}
            }
            let woken = async {
                tokio::select! {
                    _ = stopped.wait_for(|&stop| stop) => {}
                    () = signal.changed() => {}
                }
            };
            let _ = timeout(self.poll_period, woken).await;
        }
        Ok(())
    }

    /// Applies what has changed since the last time; returns how many changes that were.
    pub async fn catch_up(&mut self) -> Result<usize, FollowError> {
        let mut applied = 0;
        loop {
            let changes = self.store.changes_after(self.mark, PAGE).await?;
            // Numbers have no gaps of themselves.
            if changes
                .first()
                .is_some_and(|first| first.id.0 > self.mark.0 + 1)
            {
                return Err(FollowError::Missed(self.mark));
            }
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
            if changes.is_empty() && self.store.latest_change().await? < self.mark {
                // A backup was restored: its next changes have numbers that we have passed.
                return Err(FollowError::Missed(self.mark));
            }
            if changes.len() < PAGE as usize {
                return Ok(applied);
            }
        }
    }

    async fn prune_when_due(&mut self) {
        if Instant::now() < self.prune_at {
            return;
        }
        self.prune_at = Instant::now() + PRUNE_PERIOD;
        let before = UnixTime(UnixTime::now().0.saturating_sub(KEEP_SECS));
        match self.store.prune_changes(before).await {
            Ok(pruned) => tracing::debug!(pruned, "deleted old changes"),
            Err(error) => tracing::warn!(%error, "can't delete old changes"),
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
            Changed::IpBlocks => load_ip_blocks(&self.store, &self.tracker).await?,
            Changed::ClientRules => load_client_rules(&self.store, &self.tracker).await?,
            Changed::Policies | Changed::Settings => {}
            Changed::Other => tracing::debug!(id = change.id.0, "a change of an unknown kind"),
        }
        Ok(())
    }
}
