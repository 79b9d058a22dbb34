//! A batch in SQLite: prepared statements, repeated. The transaction began immediate, so nobody else writes meanwhile.

use std::collections::{HashMap, HashSet};

use sqlx::{Sqlite, Transaction};
use tracker_core::accounting::Baseline;
use tracker_core::ids::{TorrentId, UserId};
use tracker_core::record::SessionKey;

use super::plan::{SessionRow, Snatch, Totals};
use super::{BaselineRow, Bulk, read_baseline};
use crate::columns::{Word, bigint};
use crate::error::Result;

const USER_EXISTS: &str = "
    select exists (select 1 from users where id = $1)";

const TORRENT_EXISTS: &str = "
    select exists (select 1 from torrents where id = $1)";

const BASELINE: &str = "
    select user_id, torrent_id, peer_id, uploaded, downloaded, suspect
    from sessions
    where user_id = $1
        and torrent_id = $2
        and peer_id = $3";

const WRITE_SESSION: &str = "
    insert into sessions (
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, credited_uploaded, credited_downloaded,
        bytes_left, role, endpoint4, endpoint6, started_at, announced_at, active)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    on conflict (user_id, torrent_id, peer_id) do update
    set uploaded = excluded.uploaded,
        downloaded = excluded.downloaded,
        suspect = excluded.suspect,
        credited_uploaded = sessions.credited_uploaded
            + min(excluded.credited_uploaded, 9223372036854775807 - sessions.credited_uploaded),
        credited_downloaded = sessions.credited_downloaded
            + min(excluded.credited_downloaded, 9223372036854775807 - sessions.credited_downloaded),
        bytes_left = excluded.bytes_left,
        role = excluded.role,
        endpoint4 = coalesce(excluded.endpoint4, sessions.endpoint4),
        endpoint6 = coalesce(excluded.endpoint6, sessions.endpoint6),
        announced_at = excluded.announced_at,
        active = excluded.active";

const WRITE_SNATCH: &str = "
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

impl Bulk for Transaction<'_, Sqlite> {
    async fn existing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let mut existing = HashSet::with_capacity(ids.len());
        for id in ids {
            let exists: bool = sqlx::query_scalar(USER_EXISTS)
                .bind(i64::from(id.0))
                .fetch_one(&mut **self)
                .await?;
            existing.extend(exists.then_some(*id));
        }
        Ok(existing)
    }

    async fn existing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>> {
        let mut existing = HashSet::with_capacity(ids.len());
        for id in ids {
            let exists: bool = sqlx::query_scalar(TORRENT_EXISTS)
                .bind(i64::from(id.0))
                .fetch_one(&mut **self)
                .await?;
            existing.extend(exists.then_some(*id));
        }
        Ok(existing)
    }

    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<HashMap<SessionKey, Baseline>> {
        let mut stored = HashMap::with_capacity(keys.len());
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

    async fn write_sessions(&mut self, rows: &[SessionRow<'_>]) -> Result<()> {
        for SessionRow {
            change,
            growth,
            baseline,
        } in rows
        {
            sqlx::query(WRITE_SESSION)
                .bind(i64::from(change.key.user.0))
                .bind(i64::from(change.key.torrent.0))
                .bind(change.key.peer_id.0.as_slice())
                .bind(bigint(baseline.counters.uploaded))
                .bind(bigint(baseline.counters.downloaded))
                .bind(baseline.suspect)
                .bind(bigint(growth.uploaded))
                .bind(bigint(growth.downloaded))
                .bind(bigint(change.bytes_left))
                .bind(change.role.word())
                .bind(change.endpoint4.as_ref().map(<[u8; 6]>::as_slice))
                .bind(change.endpoint6.as_ref().map(<[u8; 18]>::as_slice))
                .bind(i64::from(change.first_at.0))
                .bind(i64::from(change.announced_at.0))
                .bind(change.active)
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }

    async fn write_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>> {
        let mut new = Vec::new();
        for snatch in snatches {
            let inserted = sqlx::query(WRITE_SNATCH)
                .bind(i64::from(snatch.user.0))
                .bind(i64::from(snatch.torrent.0))
                .bind(i64::from(snatch.at.0))
                .execute(&mut **self)
                .await?;
            new.extend((inserted.rows_affected() == 1).then_some(snatch.torrent));
        }
        Ok(new)
    }

    async fn add_to_users(&mut self, totals: &Totals<UserId>) -> Result<()> {
        for (id, gain) in totals {
            sqlx::query(ADD_TO_USER)
                .bind(bigint(gain.growth.uploaded))
                .bind(bigint(gain.growth.downloaded))
                .bind(i64::from(id.0))
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }

    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<()> {
        for (id, gain) in totals {
            sqlx::query(ADD_TO_TORRENT)
                .bind(bigint(gain.growth.uploaded))
                .bind(bigint(gain.growth.downloaded))
                .bind(i64::from(gain.completed))
                .bind(i64::from(id.0))
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }
}
