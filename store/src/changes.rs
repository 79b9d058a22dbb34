//! What the trackers have to read again, in the order in which it happened. A change names a row and nothing of its
//! content: a follower reads the row as it is now, so that two changes of one row, or one read twice, do no harm.

use sqlx::{Postgres, Sqlite, Transaction};
use tracker_core::ids::{TokenId, TorrentId, UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};

/// A change's number. They are handed out in the order of the commits and without gaps, so a follower that has seen
/// one has seen all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId(pub i64);

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub id: ChangeId,
    /// What to read again.
    pub what: Changed,
}

/// The row that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// See [`Store::member`].
    User(UserId),
    /// See [`Store::torrent`].
    Torrent(TorrentId),
    /// See [`Store::token_revocation`].
    Token(TokenId),
    /// See [`Store::ip_blocks`]: all of them.
    IpBlocks,
    /// See [`Store::client_rules`]: all of them.
    ClientRules,
    /// See [`Store::policies`]. The ledger reads them in each of its transactions.
    Policies,
    /// See [`Store::settings`]. The program looks at them by itself.
    Settings,
    /// Something that only a newer Purser knows, while it takes over from this one.
    Other,
}

const LATEST: &str = "
    select value
    from change_counter";

const AFTER: &str = "
    select id, kind, subject
    from changes
    where id > $1
    order by id
    limit $2";

/// From the oldest on, as far as they are old without a gap, and never the last one: a follower that is too far behind
/// must find a later one, to see what it has missed. Ten thousand at most, so that no other writer waits long.
const PRUNE: &str = "
    delete from changes
    where id < (
            select coalesce(min(id), (select value from change_counter))
            from changes
            where created_at >= $1)
        and id < (select min(id) from changes) + 10000";

/// Locks the counter's row until the transaction ends. So the writers of changes go through one at a time, and their
/// numbers commit in order. A sequence would hand 7 and 8 to two transactions of which 8 may commit first, and a
/// follower that saw 8 would never see 7.
pub(crate) const NEXT: &str = "
    update change_counter
    set value = value + 1
    returning value";

const RECORD: &str = "
    insert into changes (id, kind, subject, created_at)
    values ($1, $2, $3, $4)";

/// The same, and tells the trackers in other processes; Postgres does that when it commits.
const RECORD_POSTGRES: &str = "
    insert into changes (id, kind, subject, created_at)
    values ($1, $2, $3, $4)
    returning pg_notify('purser_changes', '')";

/// Like `in_transaction!`, for a block that ends in `record_change!`; once that is committed, this process's followers
/// wake. Takes the change's number first of all, so that all who take one wait in the same place.
macro_rules! changing {
    ($store:expr, |$tx:ident, $number:ident| $body:block) => {{
        let done = crate::store::in_transaction!($store, |$tx| {
            let $number = sqlx::query_scalar::<_, i64>(crate::changes::NEXT)
                .fetch_one(&mut *$tx)
                .await?;
            $body
        });
        if done.is_ok() {
            $store.waker.send_replace(());
        }
        done
    }};
}

/// Writes down what changed, under the number taken before.
macro_rules! record_change {
    ($tx:ident, $number:expr, $changed:expr, $at:expr) => {{
        let (kind, subject) = $changed.columns();
        sqlx::query(crate::changes::RecordStatement::record_statement(&$tx))
            .bind($number)
            .bind(kind)
            .bind(subject)
            .bind(i64::from($at.0))
            .execute(&mut *$tx)
            .await?;
    }};
}

pub(crate) use {changing, record_change};

/// Where the databases differ.
pub(crate) trait RecordStatement {
    fn record_statement(&self) -> &'static str;
}

impl RecordStatement for Transaction<'_, Sqlite> {
    fn record_statement(&self) -> &'static str {
        RECORD
    }
}

impl RecordStatement for Transaction<'_, Postgres> {
    fn record_statement(&self) -> &'static str {
        RECORD_POSTGRES
    }
}

impl Store {
    /// Where a follower begins who loads the roster after asking.
    pub async fn latest_change(&self) -> Result<ChangeId> {
        let value: i64 = reading!(self, |pool| sqlx::query_scalar(LATEST)
            .fetch_one(pool)
            .await)?;
        Ok(ChangeId(value))
    }

    /// The changes after `mark`, oldest first, at most `limit` and [`PAGE_MAX`](crate::PAGE_MAX) of them. If the first
    /// isn't number `mark + 1`, those between have been [pruned](Self::prune_changes).
    pub async fn changes_after(&self, mark: ChangeId, limit: u32) -> Result<Vec<Change>> {
        let rows: Vec<(i64, String, i64)> = reading!(self, |pool| {
            sqlx::query_as(AFTER)
                .bind(mark.0)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(id, kind, subject)| {
                let what = Changed::parse(&kind, subject)?;
                Ok(Change {
                    id: ChangeId(id),
                    what,
                })
            })
            .collect()
    }

    /// Deletes the oldest changes as far as they were made before `before`, at most ten thousand, and never the last
    /// one. Returns how many.
    pub async fn prune_changes(&self, before: UnixTime) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(PRUNE)
                .bind(i64::from(before.0))
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }
}

impl Changed {
    /// Its `kind` and `subject`.
    pub(crate) fn columns(self) -> (&'static str, i64) {
        match self {
            Self::User(id) => ("user", i64::from(id.0)),
            Self::Torrent(id) => ("torrent", i64::from(id.0)),
            Self::Token(id) => ("token", i64::from(id.0)),
            Self::IpBlocks => ("ip_blocks", 0),
            Self::ClientRules => ("client_rules", 0),
            Self::Policies => ("policies", 0),
            Self::Settings => ("settings", 0),
            Self::Other => ("other", 0),
        }
    }

    fn parse(kind: &str, subject: i64) -> Result<Self, StoreError> {
        let id = || columns::id(subject, "changes.subject");
        Ok(match kind {
            "user" => Self::User(UserId(id()?)),
            "torrent" => Self::Torrent(TorrentId(id()?)),
            "token" => Self::Token(TokenId(id()?)),
            "ip_blocks" => Self::IpBlocks,
            "client_rules" => Self::ClientRules,
            "policies" => Self::Policies,
            "settings" => Self::Settings,
            _ => Self::Other,
        })
    }
}
