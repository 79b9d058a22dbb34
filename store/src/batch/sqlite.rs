//! A batch in SQLite: prepared statements, repeated. The transaction began immediate, so nobody else writes meanwhile.

use std::collections::HashSet;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, Transaction};
use tracker_core::ids::{TorrentId, UserId};
use tracker_core::record::SessionKey;

use super::plan::{SessionRow, SetAside, Snatch, Totals};
use super::{BaselineRow, Baselines, Bulk, Mark, read_baseline};
use crate::columns::{BaselineColumns, Word, bigint};
use crate::error::Result;

const USER_EXISTS: &str = "
    select exists (select 1 from users where id = $1)";

const TORRENT_EXISTS: &str = "
    select exists (select 1 from torrents where id = $1)";

const BASELINE: &str = "
    select user_id, torrent_id, peer_id, announced_at, written_by, uploaded, downloaded, suspect, suspect_uploaded,
        suspect_downloaded
    from sessions
    where user_id = $1
        and torrent_id = $2
        and peer_id = $3";

const UPDATE_SESSION: &str = "
    update sessions
    set uploaded = $4,
        downloaded = $5,
        suspect = $6,
        suspect_uploaded = $7,
        suspect_downloaded = $8,
        credited_uploaded = credited_uploaded + min($9, 9223372036854775807 - credited_uploaded),
        credited_downloaded = credited_downloaded + min($10, 9223372036854775807 - credited_downloaded),
        bytes_left = $11,
        role = $12,
        endpoint4 = coalesce($13, endpoint4),
        endpoint6 = coalesce($14, endpoint6),
        announced_at = $15,
        active = $16,
        written_by = $23
    where user_id = $1
        and torrent_id = $2
        and peer_id = $3
        and uploaded = $17
        and downloaded = $18
        and suspect = $19
        and suspect_uploaded = $20
        and suspect_downloaded = $21
        and written_by = $22";

const INSERT_SESSION: &str = "
    insert into sessions (
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded,
        credited_uploaded, credited_downloaded, bytes_left, role, endpoint4, endpoint6, announced_at, active, started_at,
        written_by)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
    where exists (select 1 from users where id = $1)
        and exists (select 1 from torrents where id = $2)
    on conflict (user_id, torrent_id, peer_id) do nothing";

const INSERT_SNATCH: &str = "
    insert into snatches (user_id, torrent_id, completed_at)
    values ($1, $2, $3)
    on conflict (user_id, torrent_id) do nothing";

const ADD_TO_USER: &str = "
    update users
    set uploaded = uploaded + min($1, 9223372036854775807 - uploaded),
        downloaded = downloaded + min($2, 9223372036854775807 - downloaded)
    where id = $3";

const ADD_TO_TORRENT: &str = "
    update torrents
    set uploaded = uploaded + min($1, 9223372036854775807 - uploaded),
        downloaded = downloaded + min($2, 9223372036854775807 - downloaded),
        completed = completed + $3
    where id = $4";

const INSERT_SET_ASIDE: &str = "
    insert into set_aside (
        journal, position_from, position_to, user_id, torrent_id, peer_id, uploaded, downloaded, bytes_left,
        growth_uploaded, growth_downloaded, announced_at, completed_at, reason, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

impl Bulk for Transaction<'_, Sqlite> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        Ok(())
    }

    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        let mut stored = Baselines::with_capacity(keys.len());
        for key in keys {
            let row: Option<BaselineRow> = sqlx::query_as(BASELINE)
                .bind(i64::from(key.user.0))
                .bind(i64::from(key.torrent.0))
                .bind(key.peer_id.0.as_slice())
                .fetch_optional(&mut **self)
                .await?;
            stored.extend(row.map(read_baseline).transpose()?);
        }
        Ok(stored)
    }

    async fn lock_baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        self.baselines(keys).await
    }

    async fn missing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let mut missing = HashSet::new();
        for id in ids {
            let exists: bool = sqlx::query_scalar(USER_EXISTS)
                .bind(i64::from(id.0))
                .fetch_one(&mut **self)
                .await?;
            missing.extend((!exists).then_some(*id));
        }
        Ok(missing)
    }

    async fn missing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>> {
        let mut missing = HashSet::new();
        for id in ids {
            let exists: bool = sqlx::query_scalar(TORRENT_EXISTS)
                .bind(i64::from(id.0))
                .fetch_one(&mut **self)
                .await?;
            missing.extend((!exists).then_some(*id));
        }
        Ok(missing)
    }

    async fn update_sessions(&mut self, rows: &[SessionRow<'_>], writer: i64) -> Result<u64> {
        let mut count = 0;
        for row in rows {
            let from = BaselineColumns::from(row.from);
            let updated = bind_session(sqlx::query(UPDATE_SESSION), row)
                .bind(from.uploaded)
                .bind(from.downloaded)
                .bind(from.suspect)
                .bind(from.suspect_uploaded)
                .bind(from.suspect_downloaded)
                .bind(row.from_writer)
                .bind(writer)
                .execute(&mut **self)
                .await?;
            count += updated.rows_affected();
        }
        Ok(count)
    }

    async fn insert_sessions(&mut self, rows: &[SessionRow<'_>], writer: i64) -> Result<u64> {
        let mut count = 0;
        for row in rows {
            let inserted = bind_session(sqlx::query(INSERT_SESSION), row)
                .bind(i64::from(row.change.first_at.0))
                .bind(writer)
                .execute(&mut **self)
                .await?;
            count += inserted.rows_affected();
        }
        Ok(count)
    }

    async fn insert_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>> {
        let mut new = Vec::new();
        for snatch in snatches {
            let inserted = sqlx::query(INSERT_SNATCH)
                .bind(i64::from(snatch.user.0))
                .bind(i64::from(snatch.torrent.0))
                .bind(i64::from(snatch.at.0))
                .execute(&mut **self)
                .await?;
            new.extend((inserted.rows_affected() == 1).then_some(snatch.torrent));
        }
        Ok(new)
    }

    async fn add_to_users(&mut self, totals: &Totals<UserId>) -> Result<u64> {
        let mut count = 0;
        for (id, gain) in totals {
            let updated = sqlx::query(ADD_TO_USER)
                .bind(bigint(gain.growth.uploaded))
                .bind(bigint(gain.growth.downloaded))
                .bind(i64::from(id.0))
                .execute(&mut **self)
                .await?;
            count += updated.rows_affected();
        }
        Ok(count)
    }

    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<u64> {
        let mut count = 0;
        for (id, gain) in totals {
            let updated = sqlx::query(ADD_TO_TORRENT)
                .bind(bigint(gain.growth.uploaded))
                .bind(bigint(gain.growth.downloaded))
                .bind(i64::from(gain.completed))
                .bind(i64::from(id.0))
                .execute(&mut **self)
                .await?;
            count += updated.rows_affected();
        }
        Ok(count)
    }

    async fn insert_set_aside(&mut self, mark: &Mark, rows: &[SetAside<'_>]) -> Result<()> {
        for row in rows {
            sqlx::query(INSERT_SET_ASIDE)
                .bind(&mark.journal)
                .bind(bigint(mark.from))
                .bind(bigint(mark.to))
                .bind(i64::from(row.change.key.user.0))
                .bind(i64::from(row.change.key.torrent.0))
                .bind(row.change.key.peer_id.0.as_slice())
                .bind(bigint(row.last.uploaded))
                .bind(bigint(row.last.downloaded))
                .bind(bigint(row.change.bytes_left))
                .bind(row.growth.map(|growth| bigint(growth.uploaded)))
                .bind(row.growth.map(|growth| bigint(growth.downloaded)))
                .bind(i64::from(row.change.announced_at.0))
                .bind(row.change.completed_at.map(|at| i64::from(at.0)))
                .bind(row.reason)
                .bind(i64::from(row.at.0))
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }
}

/// $1 to $16, which updates and inserts have in common.
fn bind_session<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &'q SessionRow<'_>,
) -> Query<'q, Sqlite, SqliteArguments> {
    let SessionRow { change, growth, .. } = row;
    let to = BaselineColumns::from(row.baseline);
    query
        .bind(i64::from(change.key.user.0))
        .bind(i64::from(change.key.torrent.0))
        .bind(change.key.peer_id.0.as_slice())
        .bind(to.uploaded)
        .bind(to.downloaded)
        .bind(to.suspect)
        .bind(to.suspect_uploaded)
        .bind(to.suspect_downloaded)
        .bind(bigint(growth.uploaded))
        .bind(bigint(growth.downloaded))
        .bind(bigint(change.bytes_left))
        .bind(change.role.word())
        .bind(change.endpoint4.as_ref().map(<[u8; 6]>::as_slice))
        .bind(change.endpoint6.as_ref().map(<[u8; 18]>::as_slice))
        .bind(i64::from(change.announced_at.0))
        .bind(change.active)
}
