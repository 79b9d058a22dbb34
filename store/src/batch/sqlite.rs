//! A batch in SQLite: [statements](Statement) of up to 64 rows each. The transaction began immediate, so nobody else
//! writes meanwhile.

mod statement;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use economy::window::Window;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, Transaction};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::SessionKey;
use tracker_core::registry::UserClass;

use super::plan::{SessionRow, SetAside, Snatch, Totals, Traffic};
use super::policies::{ClassChange, ClassChangeRow, Token, TokenRow};
use super::{
    BaselineRow, Baselines, Bulk, Mark, hundredths, read_baseline, read_class, read_class_change,
    read_token,
};
use crate::columns::{self, BaselineColumns, Word, bigint};
use crate::error::Result;
use crate::policies::{IN_EFFECT_SINCE, WindowRow};
pub(crate) use statement::Statement;

static MISSING_USERS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select id
    from change
    where not exists (select 1 from users where users.id = change.id)",
    )
});

static MISSING_TORRENTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select id
    from change
    where not exists (select 1 from torrents where torrents.id = change.id)",
    )
});

/// A cross join: SQLite takes its tables in this order.
static BASELINES: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id, torrent_id, peer_id",
        "
    select s.user_id, s.torrent_id, s.peer_id, s.announced_at, s.written_by, s.uploaded, s.downloaded, s.suspect,
        s.suspect_uploaded, s.suspect_downloaded
    from change
    cross join sessions s
        on s.user_id = change.user_id
        and s.torrent_id = change.torrent_id
        and s.peer_id = change.peer_id",
    )
});

/// The plus keeps SQLite from an index of its own over `change`, for which it would go through all of `sessions`: with 256
/// rows at a time, it thinks that better.
static UPDATE_SESSIONS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded,
        grown_uploaded, grown_downloaded, bytes_left, role, endpoint4, endpoint6, announced_at, active,
        from_uploaded, from_downloaded, from_suspect, from_suspect_uploaded, from_suspect_downloaded, from_writer,
        first_at, seeded_secs",
        "
    update sessions
    set uploaded = change.uploaded,
        downloaded = change.downloaded,
        suspect = change.suspect,
        suspect_uploaded = change.suspect_uploaded,
        suspect_downloaded = change.suspect_downloaded,
        credited_uploaded = sessions.credited_uploaded
            + min(change.grown_uploaded, 9223372036854775807 - sessions.credited_uploaded),
        credited_downloaded = sessions.credited_downloaded
            + min(change.grown_downloaded, 9223372036854775807 - sessions.credited_downloaded),
        bytes_left = change.bytes_left,
        role = change.role,
        endpoint4 = coalesce(change.endpoint4, sessions.endpoint4),
        endpoint6 = coalesce(change.endpoint6, sessions.endpoint6),
        seeded_secs = sessions.seeded_secs + case
            when sessions.role <> 'seeder' and change.seeded_secs = 0 then 0
            when exists (
                select 1
                from sessions other
                where other.user_id = change.user_id
                    and other.torrent_id = change.torrent_id
                    and other.peer_id < change.peer_id
                    and other.active
                    and other.role = 'seeder'
                    and other.announced_at >= sessions.announced_at - ?)
            then 0
            when sessions.active
                and sessions.role = 'seeder'
                and change.first_at - sessions.announced_at between 0 and ?
            then change.seeded_secs + change.first_at - sessions.announced_at
            else change.seeded_secs
        end,
        announced_at = change.announced_at,
        active = change.active,
        written_by = ?
    from change
    where sessions.user_id = +change.user_id
        and sessions.torrent_id = +change.torrent_id
        and sessions.peer_id = +change.peer_id
        and sessions.uploaded = change.from_uploaded
        and sessions.downloaded = change.from_downloaded
        and sessions.suspect = change.from_suspect
        and sessions.suspect_uploaded = change.from_suspect_uploaded
        and sessions.suspect_downloaded = change.from_suspect_downloaded
        and sessions.written_by = change.from_writer",
    )
});

static INSERT_SESSIONS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded,
        grown_uploaded, grown_downloaded, bytes_left, role, endpoint4, endpoint6, announced_at, active, started_at,
        seeded_secs",
        "
    insert into sessions (
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded,
        credited_uploaded, credited_downloaded, bytes_left, role, endpoint4, endpoint6, announced_at, active, started_at,
        seeded_secs, written_by)
    select change.*, ?
    from change
    where exists (select 1 from users where users.id = change.user_id)
        and exists (select 1 from torrents where torrents.id = change.torrent_id)
    on conflict (user_id, torrent_id, peer_id) do nothing",
    )
});

/// Without the `where`, SQLite takes `on conflict` for a join's `on`.
static INSERT_SNATCHES: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id, torrent_id, completed_at",
        "
    insert into snatches (user_id, torrent_id, completed_at)
    select user_id, torrent_id, completed_at
    from change
    where true
    on conflict (user_id, torrent_id) do nothing
    returning torrent_id",
    )
});

static ADD_TO_TRAFFIC: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "hour, user_id, torrent_id, class, uploaded, downloaded, counted_uploaded, counted_downloaded",
        "
    insert into traffic (
        hour, user_id, torrent_id, class, uploaded, downloaded, counted_uploaded, counted_downloaded)
    select change.hour, change.user_id, change.torrent_id, coalesce(change.class, users.class), change.uploaded,
        change.downloaded, change.counted_uploaded, change.counted_downloaded
    from change
    cross join users on users.id = change.user_id
    where true
    on conflict (hour, user_id, torrent_id, class) do update
    set uploaded = traffic.uploaded + min(excluded.uploaded, 9223372036854775807 - traffic.uploaded),
        downloaded = traffic.downloaded + min(excluded.downloaded, 9223372036854775807 - traffic.downloaded),
        counted_uploaded = traffic.counted_uploaded
            + min(excluded.counted_uploaded, 9223372036854775807 - traffic.counted_uploaded),
        counted_downloaded = traffic.counted_downloaded
            + min(excluded.counted_downloaded, 9223372036854775807 - traffic.counted_downloaded)",
    )
});

static CLASSES: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select users.id, users.class
    from change
    cross join users on users.id = change.id",
    )
});

static CLASS_CHANGES: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select class_changes.user_id, class_changes.at, class_changes.class_before
    from change
    cross join class_changes
        on class_changes.user_id = change.id
        and class_changes.at > ?
    order by class_changes.at",
    )
});

static TOKENS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select held.user_id, held.torrent_id, held.starts_at, held.ends_at
    from change
    cross join freeleech_tokens held
        on held.user_id = change.id
        and held.ends_at > ?",
    )
});

/// Hundredths of a byte that make a whole one go over to the bytes.
static ADD_TO_USERS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "
        id, uploaded, downloaded, counted_uploaded, counted_downloaded, first_hour, last_hour, class_changed_at",
        "
    update users
    set uploaded = users.uploaded + min(change.uploaded, 9223372036854775807 - users.uploaded),
        downloaded = users.downloaded + min(change.downloaded, 9223372036854775807 - users.downloaded),
        credited_uploaded = users.credited_uploaded + min(
            (change.counted_uploaded + users.credited_uploaded_rest) / 100,
            9223372036854775807 - users.credited_uploaded),
        credited_uploaded_rest = (change.counted_uploaded + users.credited_uploaded_rest) % 100,
        credited_downloaded = users.credited_downloaded + min(
            (change.counted_downloaded + users.credited_downloaded_rest) / 100,
            9223372036854775807 - users.credited_downloaded),
        credited_downloaded_rest = (change.counted_downloaded + users.credited_downloaded_rest) % 100,
        unsettled_since = case
            when change.first_hour < users.unsettled_since then change.first_hour
            else coalesce(users.unsettled_since, change.first_hour)
        end,
        traffic_until = case
            when change.last_hour > users.traffic_until then change.last_hour
            else coalesce(users.traffic_until, change.last_hour)
        end
    from change
    where users.id = +change.id
        and (users.class_changed_at <= ? or users.class_changed_at = change.class_changed_at)",
    )
});

static ADD_TO_TORRENTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id, uploaded, downloaded, completed",
        "
    update torrents
    set uploaded = torrents.uploaded + min(change.uploaded, 9223372036854775807 - torrents.uploaded),
        downloaded = torrents.downloaded + min(change.downloaded, 9223372036854775807 - torrents.downloaded),
        completed = torrents.completed + change.completed
    from change
    where torrents.id = +change.id",
    )
});

/// One at a time: there are none, normally.
const INSERT_SET_ASIDE: &str = "
    insert into set_aside (
        journal, position_from, position_to, user_id, torrent_id, peer_id, uploaded, downloaded, bytes_left,
        growth_uploaded, growth_downloaded, announced_at, completed_at, reason, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

impl Bulk for Transaction<'_, Sqlite> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        Ok(())
    }

    async fn windows(&mut self, since: UnixTime) -> Result<Vec<Window>> {
        let rows: Vec<WindowRow> = sqlx::query_as(IN_EFFECT_SINCE)
            .bind(i64::from(since.0))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(Window::try_from).collect()
    }

    async fn class_changes(
        &mut self,
        users: &[UserId],
        since: UnixTime,
    ) -> Result<Vec<ClassChange>> {
        let mut changes = Vec::new();
        for (sql, users) in CLASS_CHANGES.pieces(users) {
            let mut query = sqlx::query_as(sql);
            for id in users {
                query = query.bind(i64::from(id.0));
            }
            let query = query.bind(i64::from(since.0));
            let rows: Vec<ClassChangeRow> = query.fetch_all(&mut **self).await?;
            for row in rows {
                changes.push(read_class_change(row)?);
            }
        }
        Ok(changes)
    }

    async fn finds(&mut self, sql: &'static str, since: UnixTime) -> Result<bool> {
        let found: i64 = sqlx::query_scalar(sql)
            .bind(i64::from(since.0))
            .fetch_one(&mut **self)
            .await?;
        Ok(found > 0)
    }

    async fn tokens(&mut self, users: &[UserId], since: UnixTime) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        for (sql, users) in TOKENS.pieces(users) {
            let mut query = sqlx::query_as(sql);
            for id in users {
                query = query.bind(i64::from(id.0));
            }
            let query = query.bind(i64::from(since.0));
            let rows: Vec<TokenRow> = query.fetch_all(&mut **self).await?;
            for row in rows {
                tokens.push(read_token(row)?);
            }
        }
        Ok(tokens)
    }

    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        let mut stored = Baselines::with_capacity(keys.len());
        for (sql, keys) in BASELINES.pieces(keys) {
            let mut query = sqlx::query_as(sql);
            for key in keys {
                query = query
                    .bind(i64::from(key.user.0))
                    .bind(i64::from(key.torrent.0))
                    .bind(key.peer_id.0.as_slice());
            }
            let rows: Vec<BaselineRow> = query.fetch_all(&mut **self).await?;
            for row in rows {
                stored.extend([read_baseline(row)?]);
            }
        }
        Ok(stored)
    }

    async fn lock_baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        self.baselines(keys).await
    }

    async fn missing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let mut missing = HashSet::new();
        for (sql, ids) in MISSING_USERS.pieces(ids) {
            let mut query = sqlx::query_scalar(sql);
            for id in ids {
                query = query.bind(i64::from(id.0));
            }
            let rows: Vec<i64> = query.fetch_all(&mut **self).await?;
            for id in rows {
                missing.insert(UserId(columns::id(id, "users.id")?));
            }
        }
        Ok(missing)
    }

    async fn missing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>> {
        let mut missing = HashSet::new();
        for (sql, ids) in MISSING_TORRENTS.pieces(ids) {
            let mut query = sqlx::query_scalar(sql);
            for id in ids {
                query = query.bind(i64::from(id.0));
            }
            let rows: Vec<i64> = query.fetch_all(&mut **self).await?;
            for id in rows {
                missing.insert(TorrentId(columns::id(id, "torrents.id")?));
            }
        }
        Ok(missing)
    }

    async fn classes(&mut self, ids: &[UserId]) -> Result<HashMap<UserId, UserClass>> {
        let mut classes = HashMap::new();
        for (sql, ids) in CLASSES.pieces(ids) {
            let mut query = sqlx::query_as(sql);
            for id in ids {
                query = query.bind(i64::from(id.0));
            }
            let rows: Vec<(i64, String)> = query.fetch_all(&mut **self).await?;
            for row in rows {
                let (id, class) = read_class(row)?;
                classes.insert(id, class);
            }
        }
        Ok(classes)
    }

    async fn update_sessions(
        &mut self,
        rows: &[SessionRow<'_>],
        writer: i64,
        silence_secs: i64,
    ) -> Result<u64> {
        let mut count = 0;
        for (sql, rows) in UPDATE_SESSIONS.pieces(rows) {
            let mut query = sqlx::query(sql);
            for row in rows {
                let from = BaselineColumns::from(row.from);
                query = bind_session(query, row)
                    .bind(from.uploaded)
                    .bind(from.downloaded)
                    .bind(from.suspect)
                    .bind(from.suspect_uploaded)
                    .bind(from.suspect_downloaded)
                    .bind(row.from_writer)
                    .bind(i64::from(row.change.first_at.0))
                    .bind(i64::from(row.change.seeded_secs));
            }
            let query = query.bind(silence_secs).bind(silence_secs).bind(writer);
            let updated = query.execute(&mut **self).await?;
            count += updated.rows_affected();
        }
        Ok(count)
    }

    async fn insert_sessions(&mut self, rows: &[SessionRow<'_>], writer: i64) -> Result<u64> {
        let mut count = 0;
        for (sql, rows) in INSERT_SESSIONS.pieces(rows) {
            let mut query = sqlx::query(sql);
            for row in rows {
                query = bind_session(query, row)
                    .bind(i64::from(row.change.first_at.0))
                    .bind(i64::from(row.change.seeded_secs));
            }
            let inserted = query.bind(writer).execute(&mut **self).await?;
            count += inserted.rows_affected();
        }
        Ok(count)
    }

    async fn insert_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>> {
        let mut new = Vec::new();
        for (sql, snatches) in INSERT_SNATCHES.pieces(snatches) {
            let mut query = sqlx::query_scalar(sql);
            for snatch in snatches {
                query = query
                    .bind(i64::from(snatch.user.0))
                    .bind(i64::from(snatch.torrent.0))
                    .bind(i64::from(snatch.at.0));
            }
            let torrents: Vec<i64> = query.fetch_all(&mut **self).await?;
            for torrent in torrents {
                new.push(TorrentId(columns::id(torrent, "snatches.torrent_id")?));
            }
        }
        Ok(new)
    }

    async fn add_to_traffic(&mut self, traffic: &Traffic) -> Result<()> {
        let traffic: Vec<_> = traffic.iter().collect();
        for (sql, traffic) in ADD_TO_TRAFFIC.pieces(&traffic) {
            let mut query = sqlx::query(sql);
            for ((hour, user, torrent, class), moved) in traffic {
                query = query
                    .bind(i64::from(*hour))
                    .bind(i64::from(user.0))
                    .bind(i64::from(torrent.0))
                    .bind(class.map(Word::word))
                    .bind(bigint(moved.growth.uploaded))
                    .bind(bigint(moved.growth.downloaded))
                    .bind(hundredths(moved.counted.uploaded))
                    .bind(hundredths(moved.counted.downloaded));
            }
            query.execute(&mut **self).await?;
        }
        Ok(())
    }

    async fn add_to_users(&mut self, totals: &Totals<UserId>, since: UnixTime) -> Result<u64> {
        let totals: Vec<_> = totals.iter().collect();
        let mut count = 0;
        for (sql, totals) in ADD_TO_USERS.pieces(&totals) {
            let mut query = sqlx::query(sql);
            for (id, gain) in totals {
                query = query
                    .bind(i64::from(id.0))
                    .bind(bigint(gain.growth.uploaded))
                    .bind(bigint(gain.growth.downloaded))
                    .bind(hundredths(gain.counted.uploaded))
                    .bind(hundredths(gain.counted.downloaded))
                    .bind(gain.hours.map(|(first, _)| i64::from(first)))
                    .bind(gain.hours.map(|(_, last)| i64::from(last)))
                    .bind(i64::from(gain.class_changed_at.0));
            }
            let query = query.bind(i64::from(since.0));
            count += query.execute(&mut **self).await?.rows_affected();
        }
        Ok(count)
    }

    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<u64> {
        let totals: Vec<_> = totals.iter().collect();
        let mut count = 0;
        for (sql, totals) in ADD_TO_TORRENTS.pieces(&totals) {
            let mut query = sqlx::query(sql);
            for (id, gain) in totals {
                query = query
                    .bind(i64::from(id.0))
                    .bind(bigint(gain.growth.uploaded))
                    .bind(bigint(gain.growth.downloaded))
                    .bind(i64::from(gain.completed));
            }
            count += query.execute(&mut **self).await?.rows_affected();
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

/// The first 16 columns, which updates and inserts have in common.
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
