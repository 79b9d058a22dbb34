//! A batch in Postgres: one statement a table, its rows handed over as arrays and unnested there.

use std::collections::{HashMap, HashSet};

use sqlx::{Postgres, Transaction};
use tracker_core::accounting::Baseline;
use tracker_core::ids::{TorrentId, UserId};
use tracker_core::record::SessionKey;

use super::plan::{SessionRow, Snatch, Totals};
use super::{BaselineRow, Bulk, read_baseline};
use crate::columns::{self, Word, bigint};
use crate::error::Result;

const EXISTING_USERS: &str = "
    select id
    from users
    where id = any($1)";

const EXISTING_TORRENTS: &str = "
    select id
    from torrents
    where id = any($1)";

/// Locked in the order of their keys, as they are written later.
const BASELINES: &str = "
    select s.user_id, s.torrent_id, s.peer_id, s.uploaded, s.downloaded, s.suspect
    from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as asked (user_id, torrent_id, peer_id)
    join sessions s
        on s.user_id = asked.user_id
        and s.torrent_id = asked.torrent_id
        and s.peer_id = asked.peer_id
    order by s.user_id, s.torrent_id, s.peer_id
    for no key update of s";

/// The rows come in the order of their keys, and are written in the order in which they come.
const WRITE_SESSIONS: &str = "
    insert into sessions (
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, credited_uploaded, credited_downloaded,
        bytes_left, role, endpoint4, endpoint6, started_at, announced_at, active)
    select *
    from unnest(
        $1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::text[], $11::bytea[], $12::bytea[], $13::bigint[], $14::bigint[], $15::boolean[])
    on conflict (user_id, torrent_id, peer_id) do update
    set uploaded = excluded.uploaded,
        downloaded = excluded.downloaded,
        suspect = excluded.suspect,
        credited_uploaded = sessions.credited_uploaded
            + least(excluded.credited_uploaded, 9223372036854775807 - sessions.credited_uploaded),
        credited_downloaded = sessions.credited_downloaded
            + least(excluded.credited_downloaded, 9223372036854775807 - sessions.credited_downloaded),
        bytes_left = excluded.bytes_left,
        role = excluded.role,
        endpoint4 = coalesce(excluded.endpoint4, sessions.endpoint4),
        endpoint6 = coalesce(excluded.endpoint6, sessions.endpoint6),
        announced_at = excluded.announced_at,
        active = excluded.active";

const WRITE_SNATCHES: &str = "
    insert into snatches (user_id, torrent_id, completed_at)
    select *
    from unnest($1::bigint[], $2::bigint[], $3::bigint[])
    on conflict (user_id, torrent_id) do nothing
    returning torrent_id";

/// An update alone may lock its rows in any order: a hash join does. So they are locked first, in order.
const ADD_TO_USERS: &str = "
    with gain as materialized (
        select users.id, gained.uploaded, gained.downloaded
        from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as gained (id, uploaded, downloaded)
        join users using (id)
        order by users.id
        for no key update of users
    )
    update users
    set uploaded = users.uploaded + least(gain.uploaded, 9223372036854775807 - users.uploaded),
        downloaded = users.downloaded + least(gain.downloaded, 9223372036854775807 - users.downloaded)
    from gain
    where users.id = gain.id";

const ADD_TO_TORRENTS: &str = "
    with gain as materialized (
        select torrents.id, gained.uploaded, gained.downloaded, gained.completed
        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
            as gained (id, uploaded, downloaded, completed)
        join torrents using (id)
        order by torrents.id
        for no key update of torrents
    )
    update torrents
    set uploaded = torrents.uploaded + least(gain.uploaded, 9223372036854775807 - torrents.uploaded),
        downloaded = torrents.downloaded + least(gain.downloaded, 9223372036854775807 - torrents.downloaded),
        completed = torrents.completed + gain.completed
    from gain
    where torrents.id = gain.id";

impl Bulk for Transaction<'_, Postgres> {
    async fn existing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let rows: Vec<i64> = sqlx::query_scalar(EXISTING_USERS)
            .bind(column(ids, |id| i64::from(id.0)))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter()
            .map(|id| columns::id(id, "users.id").map(UserId))
            .collect()
    }

    async fn existing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>> {
        let rows: Vec<i64> = sqlx::query_scalar(EXISTING_TORRENTS)
            .bind(column(ids, |id| i64::from(id.0)))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter()
            .map(|id| columns::id(id, "torrents.id").map(TorrentId))
            .collect()
    }

    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<HashMap<SessionKey, Baseline>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<BaselineRow> = sqlx::query_as(BASELINES)
            .bind(column(keys, |key| i64::from(key.user.0)))
            .bind(column(keys, |key| i64::from(key.torrent.0)))
            .bind(column(keys, |key| key.peer_id.0.as_slice()))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(read_baseline).collect()
    }

    async fn write_sessions(&mut self, rows: &[SessionRow<'_>]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(WRITE_SESSIONS)
            .bind(column(rows, |row| i64::from(row.change.key.user.0)))
            .bind(column(rows, |row| i64::from(row.change.key.torrent.0)))
            .bind(column(rows, |row| row.change.key.peer_id.0.as_slice()))
            .bind(column(rows, |row| bigint(row.baseline.counters.uploaded)))
            .bind(column(rows, |row| bigint(row.baseline.counters.downloaded)))
            .bind(column(rows, |row| row.baseline.suspect))
            .bind(column(rows, |row| bigint(row.growth.uploaded)))
            .bind(column(rows, |row| bigint(row.growth.downloaded)))
            .bind(column(rows, |row| bigint(row.change.bytes_left)))
            .bind(column(rows, |row| row.change.role.word()))
            .bind(column(rows, |row| {
                row.change.endpoint4.as_ref().map(<[u8; 6]>::as_slice)
            }))
            .bind(column(rows, |row| {
                row.change.endpoint6.as_ref().map(<[u8; 18]>::as_slice)
            }))
            .bind(column(rows, |row| i64::from(row.change.first_at.0)))
            .bind(column(rows, |row| i64::from(row.change.announced_at.0)))
            .bind(column(rows, |row| row.change.active))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn write_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>> {
        if snatches.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<i64> = sqlx::query_scalar(WRITE_SNATCHES)
            .bind(column(snatches, |snatch| i64::from(snatch.user.0)))
            .bind(column(snatches, |snatch| i64::from(snatch.torrent.0)))
            .bind(column(snatches, |snatch| i64::from(snatch.at.0)))
            .fetch_all(&mut **self)
            .await?;
        new.into_iter()
            .map(|id| columns::id(id, "snatches.torrent_id").map(TorrentId))
            .collect()
    }

    async fn add_to_users(&mut self, totals: &Totals<UserId>) -> Result<()> {
        if totals.is_empty() {
            return Ok(());
        }
        sqlx::query(ADD_TO_USERS)
            .bind(column(totals, |(id, _)| i64::from(id.0)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.uploaded)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.downloaded)))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<()> {
        if totals.is_empty() {
            return Ok(());
        }
        sqlx::query(ADD_TO_TORRENTS)
            .bind(column(totals, |(id, _)| i64::from(id.0)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.uploaded)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.downloaded)))
            .bind(column(totals, |(_, gain)| i64::from(gain.completed)))
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

/// One column of many rows.
fn column<R, T>(rows: impl IntoIterator<Item = R>, value: impl Fn(R) -> T) -> Vec<T> {
    rows.into_iter().map(value).collect()
}
