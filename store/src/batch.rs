//! What clients reported, applied in one transaction: sessions, snatches, the totals of members and torrents, and how
//! far the journal has come. All of it or nothing, so that credit and the baseline it was reckoned from can't part.
//!
//! Everything is added up in memory [first](plan), so each row is written once a batch. Tables and rows are always
//! taken in the same order (mark, sessions, snatches, users, torrents; each by key), so two writers can't deadlock.

mod plan;
mod postgres;
mod sqlite;

use std::collections::{HashMap, HashSet};

use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};

use crate::Store;
use crate::columns::{self, bigint};
use crate::error::Result;
use crate::store::{in_transaction, reading};
use plan::{Plan, SessionRow, Totals};

/// The records of a flush interval, merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Sorted by key, each key once.
    pub sessions: Vec<SessionChange>,
    /// Where the journal stands when this has been applied. `None`: there is no journal, and applying twice counts twice.
    pub mark: Option<Mark>,
}

/// How far a journal has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose: each tracker process that shares the database has a journal of its own.
    pub journal: String,
    /// Grows from batch to batch.
    pub position: u64,
}

/// What became of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// Whose, where, which.
    pub key: SessionKey,
    /// What it adds to the accounts.
    pub growth: SessionGrowth,
    /// Bytes the client still wants.
    pub bytes_left: u64,
    /// What it is to its swarm now.
    pub role: Role,
    /// Still in its swarm? Not after `stopped`.
    pub active: bool,
    /// Its compact IPv4 endpoint; `None` keeps the stored one.
    pub endpoint4: Option<[u8; 6]>,
    /// Its compact IPv6 endpoint; `None` keeps the stored one.
    pub endpoint6: Option<[u8; 18]>,
    /// The first announce in this batch: when a new session started.
    pub first_at: UnixTime,
    /// The last announce.
    pub announced_at: UnixTime,
    /// When it finished the download, if it did in this batch.
    pub completed_at: Option<UnixTime>,
}

/// How a session's counters grew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionGrowth {
    /// Memory knew the session, and has done the reckoning.
    Known {
        /// The growth since the last batch.
        growth: Counters,
        /// Where it ends now.
        baseline: Baseline,
    },
    /// Memory didn't: these are to be replayed, in order, over the stored baseline. Without one the first is the
    /// baseline and earns nothing. Never empty.
    Unresolved(Vec<Observation>),
}

/// Counters as a client reported them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// As sent.
    pub counters: Counters,
    /// With `event=started`?
    pub started: bool,
}

/// What applying a batch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The stored mark was there already: nothing was changed, and the rest is empty.
    pub already: bool,
    /// For memory to take over: where the unresolved sessions stand.
    pub resolved: Vec<(SessionKey, Baseline)>,
    /// Bytes credited, over all sessions.
    pub growth: Counters,
    /// Members who finished a torrent for the first time, per torrent.
    pub snatches: Vec<(TorrentId, u32)>,
    /// Sessions left out because their user or torrent is gone.
    pub orphans: u64,
}

const MARK: &str = "
    select value
    from marks
    where name = $1";

/// Changes nothing when the mark is there already, and keeps others out of this journal until the transaction ends.
const ADVANCE_MARK: &str = "
    insert into marks (name, value)
    values ($1, $2)
    on conflict (name) do update
    set value = excluded.value
    where marks.value < excluded.value";

impl Store {
    /// Applies a batch, exactly once if it has a mark. After an error of any kind nothing of it is there, except after
    /// a lost connection during the commit: then the mark tells, when the batch is applied again.
    pub async fn apply(&self, batch: &Batch) -> Result<Applied> {
        debug_assert!(
            batch.sessions.is_sorted_by(|a, b| a.key < b.key),
            "sorted, each key once"
        );
        in_transaction!(self, |tx| {
            if let Some(mark) = &batch.mark {
                let advanced = sqlx::query(ADVANCE_MARK)
                    .bind(&mark.journal)
                    .bind(bigint(mark.position))
                    .execute(&mut *tx)
                    .await?;
                if advanced.rows_affected() == 0 {
                    return Ok(Applied {
                        already: true,
                        ..Applied::default()
                    });
                }
            }
            let users = tx.existing_users(&plan::users_of(batch)).await?;
            let torrents = tx.existing_torrents(&plan::torrents_of(batch)).await?;
            let stored = tx.baselines(&plan::unresolved_keys(batch)).await?;
            let mut plan = Plan::new(batch, &users, &torrents, &stored);
            tx.write_sessions(&plan.sessions).await?;
            let snatched = tx.write_snatches(&plan.snatches).await?;
            plan.count_snatches(&snatched);
            tx.add_to_users(&plan.users).await?;
            tx.add_to_torrents(&plan.torrents).await?;
            plan.applied
        })
    }

    /// How far a journal has been applied; `None` before its first batch.
    pub async fn mark(&self, journal: &str) -> Result<Option<u64>> {
        let value: Option<i64> = reading!(self, |pool| {
            sqlx::query_scalar(MARK)
                .bind(journal)
                .fetch_optional(pool)
                .await
        })?;
        value
            .map(|value| columns::count(value, "marks.value"))
            .transpose()
    }
}

/// The batch's statements, many rows at a time: the one place where the two databases are spoken to differently.
trait Bulk {
    /// Those of `ids` that are in the database.
    async fn existing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>>;
    async fn existing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>>;
    /// The stored baselines of those of `keys` that have one, kept from other writers until the transaction ends.
    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<HashMap<SessionKey, Baseline>>;
    async fn write_sessions(&mut self, rows: &[SessionRow<'_>]) -> Result<()>;
    /// Returns the torrent of each snatch that wasn't there before.
    async fn write_snatches(&mut self, snatches: &[plan::Snatch]) -> Result<Vec<TorrentId>>;
    async fn add_to_users(&mut self, totals: &Totals<UserId>) -> Result<()>;
    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<()>;
}

/// A row of `sessions`, read for its baseline.
type BaselineRow = (i64, i64, Vec<u8>, i64, i64, bool);

fn read_baseline(row: BaselineRow) -> Result<(SessionKey, Baseline)> {
    let (user, torrent, peer_id, uploaded, downloaded, suspect) = row;
    let key = SessionKey {
        user: UserId(columns::id(user, "sessions.user_id")?),
        torrent: TorrentId(columns::id(torrent, "sessions.torrent_id")?),
        peer_id: tracker_core::ids::PeerId(columns::array(&peer_id, "sessions.peer_id")?),
    };
    let counters = Counters {
        uploaded: columns::count(uploaded, "sessions.uploaded")?,
        downloaded: columns::count(downloaded, "sessions.downloaded")?,
    };
    Ok((key, Baseline { counters, suspect }))
}
