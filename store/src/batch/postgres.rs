//! A batch in Postgres: one statement a table, its rows handed over as arrays and unnested there. Not `from unnest(a, b,
//! …)`, which puts each column away first, and takes five times as long for as many columns as a session's.

use std::collections::{HashMap, HashSet};

use economy::window::Window;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Transaction};
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

/// One way for batches of every size: go through the rows as they come and find each by its key. That takes rows in the
/// order of their keys, and never reads a table of millions for thousands, as the planner may otherwise think best when
/// it doesn't know yet how many there are. Planned anew each time, with the batch's real size: a plan that was made when
/// a table was empty goes through the table and unnests the whole batch for each of its rows.
pub(crate) const FIND_ROWS_BY_KEY: &str = "
    select
        set_config('plan_cache_mode', 'force_custom_plan', true),
        set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true),
        set_config('enable_material', 'off', true),
        set_config('enable_memoize', 'off', true)";

const BASELINES: &str = "
    select s.user_id, s.torrent_id, s.peer_id, s.announced_at, s.written_by, s.uploaded, s.downloaded, s.suspect,
        s.suspect_uploaded, s.suspect_downloaded
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as torrent_id,
            unnest($3::bytea[]) as peer_id
    ) as asked
    join sessions s
        on s.user_id = asked.user_id
        and s.torrent_id = asked.torrent_id
        and s.peer_id = asked.peer_id";

const LOCK_BASELINES: &str = "
    select s.user_id, s.torrent_id, s.peer_id, s.announced_at, s.written_by, s.uploaded, s.downloaded, s.suspect,
        s.suspect_uploaded, s.suspect_downloaded
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as torrent_id,
            unnest($3::bytea[]) as peer_id
    ) as asked
    join sessions s
        on s.user_id = asked.user_id
        and s.torrent_id = asked.torrent_id
        and s.peer_id = asked.peer_id
    order by s.user_id, s.torrent_id, s.peer_id
    for no key update of s";

const MISSING_USERS: &str = "
    select asked.id
    from unnest($1::bigint[]) as asked (id)
    where not exists (select from users where users.id = asked.id)";

const MISSING_TORRENTS: &str = "
    select asked.id
    from unnest($1::bigint[]) as asked (id)
    where not exists (select from torrents where torrents.id = asked.id)";

/// Of a member's clients that seed one torrent side by side, the first by its peer id has the seed time: more clients don't
/// make more of it.
const UPDATE_SESSIONS: &str = "
    update sessions
    set uploaded = change.uploaded,
        downloaded = change.downloaded,
        suspect = change.suspect,
        suspect_uploaded = change.suspect_uploaded,
        suspect_downloaded = change.suspect_downloaded,
        credited_uploaded = sessions.credited_uploaded
            + least(change.grown_uploaded, 9223372036854775807 - sessions.credited_uploaded),
        credited_downloaded = sessions.credited_downloaded
            + least(change.grown_downloaded, 9223372036854775807 - sessions.credited_downloaded),
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
                    and other.announced_at >= sessions.announced_at - $24)
            then 0
            when sessions.active
                and sessions.role = 'seeder'
                and change.first_at - sessions.announced_at between 0 and $24
            then change.seeded_secs + change.first_at - sessions.announced_at
            else change.seeded_secs
        end,
        announced_at = change.announced_at,
        active = change.active,
        written_by = $23
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as torrent_id,
            unnest($3::bytea[]) as peer_id,
            unnest($4::bigint[]) as uploaded,
            unnest($5::bigint[]) as downloaded,
            unnest($6::bigint[]) as suspect,
            unnest($7::bigint[]) as suspect_uploaded,
            unnest($8::bigint[]) as suspect_downloaded,
            unnest($9::bigint[]) as grown_uploaded,
            unnest($10::bigint[]) as grown_downloaded,
            unnest($11::bigint[]) as bytes_left,
            unnest($12::text[]) as role,
            unnest($13::bytea[]) as endpoint4,
            unnest($14::bytea[]) as endpoint6,
            unnest($15::bigint[]) as announced_at,
            unnest($16::boolean[]) as active,
            unnest($17::bigint[]) as from_uploaded,
            unnest($18::bigint[]) as from_downloaded,
            unnest($19::bigint[]) as from_suspect,
            unnest($20::bigint[]) as from_suspect_uploaded,
            unnest($21::bigint[]) as from_suspect_downloaded,
            unnest($22::bigint[]) as from_writer,
            unnest($25::bigint[]) as first_at,
            unnest($26::bigint[]) as seeded_secs
    ) as change
    where sessions.user_id = change.user_id
        and sessions.torrent_id = change.torrent_id
        and sessions.peer_id = change.peer_id
        and sessions.uploaded = change.from_uploaded
        and sessions.downloaded = change.from_downloaded
        and sessions.suspect = change.from_suspect
        and sessions.suspect_uploaded = change.from_suspect_uploaded
        and sessions.suspect_downloaded = change.from_suspect_downloaded
        and sessions.written_by = change.from_writer";

const INSERT_SESSIONS: &str = "
    insert into sessions (
        user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded,
        credited_uploaded, credited_downloaded, bytes_left, role, endpoint4, endpoint6, announced_at, active, started_at,
        seeded_secs, written_by)
    select change.*, $18
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as torrent_id,
            unnest($3::bytea[]) as peer_id,
            unnest($4::bigint[]) as uploaded,
            unnest($5::bigint[]) as downloaded,
            unnest($6::bigint[]) as suspect,
            unnest($7::bigint[]) as suspect_uploaded,
            unnest($8::bigint[]) as suspect_downloaded,
            unnest($9::bigint[]) as grown_uploaded,
            unnest($10::bigint[]) as grown_downloaded,
            unnest($11::bigint[]) as bytes_left,
            unnest($12::text[]) as role,
            unnest($13::bytea[]) as endpoint4,
            unnest($14::bytea[]) as endpoint6,
            unnest($15::bigint[]) as announced_at,
            unnest($16::boolean[]) as active,
            unnest($17::bigint[]) as started_at,
            unnest($19::bigint[]) as seeded_secs
    ) as change
    where exists (select from users where users.id = change.user_id)
        and exists (select from torrents where torrents.id = change.torrent_id)
    on conflict (user_id, torrent_id, peer_id) do nothing";

const INSERT_SNATCHES: &str = "
    insert into snatches (user_id, torrent_id, completed_at)
    select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[])
    on conflict (user_id, torrent_id) do nothing
    returning torrent_id";

const ADD_TO_TRAFFIC: &str = "
    insert into traffic (
        hour, user_id, torrent_id, class, uploaded, downloaded, counted_uploaded, counted_downloaded)
    select moved.hour, moved.user_id, moved.torrent_id, coalesce(moved.class, users.class), moved.uploaded,
        moved.downloaded, moved.counted_uploaded, moved.counted_downloaded
    from (
        select
            unnest($1::bigint[]) as hour,
            unnest($2::bigint[]) as user_id,
            unnest($3::bigint[]) as torrent_id,
            unnest($4::text[]) as class,
            unnest($5::bigint[]) as uploaded,
            unnest($6::bigint[]) as downloaded,
            unnest($7::bigint[]) as counted_uploaded,
            unnest($8::bigint[]) as counted_downloaded
    ) as moved
    join users on users.id = moved.user_id
    on conflict (hour, user_id, torrent_id, class) do update
    set uploaded = traffic.uploaded + least(excluded.uploaded, 9223372036854775807 - traffic.uploaded),
        downloaded = traffic.downloaded + least(excluded.downloaded, 9223372036854775807 - traffic.downloaded),
        counted_uploaded = traffic.counted_uploaded
            + least(excluded.counted_uploaded, 9223372036854775807 - traffic.counted_uploaded),
        counted_downloaded = traffic.counted_downloaded
            + least(excluded.counted_downloaded, 9223372036854775807 - traffic.counted_downloaded)";

const CLASSES: &str = "
    select users.id, users.class
    from (select unnest($1::bigint[]) as id) as asked
    join users on users.id = asked.id";

const CLASS_CHANGES: &str = "
    select class_changes.user_id, class_changes.at, class_changes.class_before
    from (select unnest($1::bigint[]) as id) as asked
    join class_changes
        on class_changes.user_id = asked.id
        and class_changes.at > $2
    order by class_changes.at";

const TOKENS: &str = "
    select held.user_id, held.torrent_id, held.starts_at, held.ends_at
    from (select unnest($1::bigint[]) as id) as asked
    join freeleech_tokens held
        on held.user_id = asked.id
        and held.ends_at > $2";

/// Hundredths of a byte that make a whole one go over to the bytes.
const ADD_TO_USERS: &str = "
    update users
    set uploaded = users.uploaded + least(gain.uploaded, 9223372036854775807 - users.uploaded),
        downloaded = users.downloaded + least(gain.downloaded, 9223372036854775807 - users.downloaded),
        credited_uploaded = users.credited_uploaded + least(
            (gain.counted_uploaded + users.credited_uploaded_rest) / 100,
            9223372036854775807 - users.credited_uploaded),
        credited_uploaded_rest = (gain.counted_uploaded + users.credited_uploaded_rest) % 100,
        credited_downloaded = users.credited_downloaded + least(
            (gain.counted_downloaded + users.credited_downloaded_rest) / 100,
            9223372036854775807 - users.credited_downloaded),
        credited_downloaded_rest = (gain.counted_downloaded + users.credited_downloaded_rest) % 100,
        unsettled_since = case
            when gain.first_hour < users.unsettled_since then gain.first_hour
            else coalesce(users.unsettled_since, gain.first_hour)
        end,
        traffic_until = case
            when gain.last_hour > users.traffic_until then gain.last_hour
            else coalesce(users.traffic_until, gain.last_hour)
        end
    from (
        select
            unnest($1::bigint[]) as id,
            unnest($2::bigint[]) as uploaded,
            unnest($3::bigint[]) as downloaded,
            unnest($4::bigint[]) as counted_uploaded,
            unnest($5::bigint[]) as counted_downloaded,
            unnest($6::bigint[]) as first_hour,
            unnest($7::bigint[]) as last_hour,
            unnest($8::bigint[]) as class_changed_at
    ) as gain
    where users.id = gain.id
        and (users.class_changed_at <= $9 or users.class_changed_at = gain.class_changed_at)";

const ADD_TO_TORRENTS: &str = "
    update torrents
    set uploaded = torrents.uploaded + least(gain.uploaded, 9223372036854775807 - torrents.uploaded),
        downloaded = torrents.downloaded + least(gain.downloaded, 9223372036854775807 - torrents.downloaded),
        completed = torrents.completed + gain.completed
    from (
        select
            unnest($1::bigint[]) as id,
            unnest($2::bigint[]) as uploaded,
            unnest($3::bigint[]) as downloaded,
            unnest($4::bigint[]) as completed
    ) as gain
    where torrents.id = gain.id";

const INSERT_SET_ASIDE: &str = "
    insert into set_aside (
        journal, position_from, position_to, user_id, torrent_id, peer_id, uploaded, downloaded, bytes_left,
        growth_uploaded, growth_downloaded, announced_at, completed_at, reason, created_at)
    select
        $1, $2, $3,
        unnest($4::bigint[]),
        unnest($5::bigint[]),
        unnest($6::bytea[]),
        unnest($7::bigint[]),
        unnest($8::bigint[]),
        unnest($9::bigint[]),
        unnest($10::bigint[]),
        unnest($11::bigint[]),
        unnest($12::bigint[]),
        unnest($13::bigint[]),
        unnest($14::text[]),
        unnest($15::bigint[])";

impl Bulk for Transaction<'_, Postgres> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        sqlx::query(FIND_ROWS_BY_KEY).execute(&mut **self).await?;
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
        let rows: Vec<ClassChangeRow> = sqlx::query_as(CLASS_CHANGES)
            .bind(column(users, |id| i64::from(id.0)))
            .bind(i64::from(since.0))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(read_class_change).collect()
    }

    async fn finds(&mut self, sql: &'static str, since: UnixTime) -> Result<bool> {
        let found: i64 = sqlx::query_scalar(sql)
            .bind(i64::from(since.0))
            .fetch_one(&mut **self)
            .await?;
        Ok(found > 0)
    }

    async fn tokens(&mut self, users: &[UserId], since: UnixTime) -> Result<Vec<Token>> {
        let rows: Vec<TokenRow> = sqlx::query_as(TOKENS)
            .bind(column(users, |id| i64::from(id.0)))
            .bind(i64::from(since.0))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(read_token).collect()
    }

    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        read_baselines(self, BASELINES, keys).await
    }

    async fn lock_baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines> {
        read_baselines(self, LOCK_BASELINES, keys).await
    }

    async fn missing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let rows: Vec<i64> = sqlx::query_scalar(MISSING_USERS)
            .bind(column(ids, |id| i64::from(id.0)))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter()
            .map(|id| columns::id(id, "users.id").map(UserId))
            .collect()
    }

    async fn missing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>> {
        let rows: Vec<i64> = sqlx::query_scalar(MISSING_TORRENTS)
            .bind(column(ids, |id| i64::from(id.0)))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter()
            .map(|id| columns::id(id, "torrents.id").map(TorrentId))
            .collect()
    }

    async fn classes(&mut self, ids: &[UserId]) -> Result<HashMap<UserId, UserClass>> {
        let rows: Vec<(i64, String)> = sqlx::query_as(CLASSES)
            .bind(column(ids, |id| i64::from(id.0)))
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(read_class).collect()
    }

    async fn update_sessions(
        &mut self,
        rows: &[SessionRow<'_>],
        writer: i64,
        silence_secs: i64,
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let from = column(rows, |row| BaselineColumns::from(row.from));
        let updated = bind_sessions(sqlx::query(UPDATE_SESSIONS), rows)
            .bind(column(&from, |from| from.uploaded))
            .bind(column(&from, |from| from.downloaded))
            .bind(column(&from, |from| from.suspect))
            .bind(column(&from, |from| from.suspect_uploaded))
            .bind(column(&from, |from| from.suspect_downloaded))
            .bind(column(rows, |row| row.from_writer))
            .bind(writer)
            .bind(silence_secs)
            .bind(column(rows, |row| i64::from(row.change.first_at.0)))
            .bind(column(rows, |row| i64::from(row.change.seeded_secs)))
            .execute(&mut **self)
            .await?;
        Ok(updated.rows_affected())
    }

    async fn insert_sessions(&mut self, rows: &[SessionRow<'_>], writer: i64) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let inserted = bind_sessions(sqlx::query(INSERT_SESSIONS), rows)
            .bind(column(rows, |row| i64::from(row.change.first_at.0)))
            .bind(writer)
            .bind(column(rows, |row| i64::from(row.change.seeded_secs)))
            .execute(&mut **self)
            .await?;
        Ok(inserted.rows_affected())
    }

    async fn insert_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>> {
        if snatches.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<i64> = sqlx::query_scalar(INSERT_SNATCHES)
            .bind(column(snatches, |snatch| i64::from(snatch.user.0)))
            .bind(column(snatches, |snatch| i64::from(snatch.torrent.0)))
            .bind(column(snatches, |snatch| i64::from(snatch.at.0)))
            .fetch_all(&mut **self)
            .await?;
        new.into_iter()
            .map(|id| columns::id(id, "snatches.torrent_id").map(TorrentId))
            .collect()
    }

    async fn add_to_traffic(&mut self, traffic: &Traffic) -> Result<()> {
        if traffic.is_empty() {
            return Ok(());
        }
        sqlx::query(ADD_TO_TRAFFIC)
            .bind(column(traffic, |((hour, ..), _)| i64::from(*hour)))
            .bind(column(traffic, |((_, user, ..), _)| i64::from(user.0)))
            .bind(column(traffic, |((_, _, torrent, _), _)| {
                i64::from(torrent.0)
            }))
            .bind(column(traffic, |((.., class), _)| class.map(Word::word)))
            .bind(column(traffic, |(_, moved)| bigint(moved.growth.uploaded)))
            .bind(column(traffic, |(_, moved)| {
                bigint(moved.growth.downloaded)
            }))
            .bind(column(traffic, |(_, moved)| {
                hundredths(moved.counted.uploaded)
            }))
            .bind(column(traffic, |(_, moved)| {
                hundredths(moved.counted.downloaded)
            }))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn add_to_users(&mut self, totals: &Totals<UserId>, since: UnixTime) -> Result<u64> {
        if totals.is_empty() {
            return Ok(0);
        }
        let updated = sqlx::query(ADD_TO_USERS)
            .bind(column(totals, |(id, _)| i64::from(id.0)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.uploaded)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.downloaded)))
            .bind(column(totals, |(_, gain)| {
                hundredths(gain.counted.uploaded)
            }))
            .bind(column(totals, |(_, gain)| {
                hundredths(gain.counted.downloaded)
            }))
            .bind(column(totals, |(_, gain)| {
                gain.hours.map(|(first, _)| i64::from(first))
            }))
            .bind(column(totals, |(_, gain)| {
                gain.hours.map(|(_, last)| i64::from(last))
            }))
            .bind(column(totals, |(_, gain)| {
                i64::from(gain.class_changed_at.0)
            }))
            .bind(i64::from(since.0))
            .execute(&mut **self)
            .await?;
        Ok(updated.rows_affected())
    }

    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<u64> {
        if totals.is_empty() {
            return Ok(0);
        }
        let updated = sqlx::query(ADD_TO_TORRENTS)
            .bind(column(totals, |(id, _)| i64::from(id.0)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.uploaded)))
            .bind(column(totals, |(_, gain)| bigint(gain.growth.downloaded)))
            .bind(column(totals, |(_, gain)| i64::from(gain.completed)))
            .execute(&mut **self)
            .await?;
        Ok(updated.rows_affected())
    }

    async fn insert_set_aside(&mut self, mark: &Mark, rows: &[SetAside<'_>]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(INSERT_SET_ASIDE)
            .bind(&mark.journal)
            .bind(bigint(mark.from))
            .bind(bigint(mark.to))
            .bind(column(rows, |row| i64::from(row.change.key.user.0)))
            .bind(column(rows, |row| i64::from(row.change.key.torrent.0)))
            .bind(column(rows, |row| row.change.key.peer_id.0.as_slice()))
            .bind(column(rows, |row| bigint(row.last.uploaded)))
            .bind(column(rows, |row| bigint(row.last.downloaded)))
            .bind(column(rows, |row| bigint(row.change.bytes_left)))
            .bind(column(rows, |row| {
                row.growth.map(|growth| bigint(growth.uploaded))
            }))
            .bind(column(rows, |row| {
                row.growth.map(|growth| bigint(growth.downloaded))
            }))
            .bind(column(rows, |row| i64::from(row.change.announced_at.0)))
            .bind(column(rows, |row| {
                row.change.completed_at.map(|at| i64::from(at.0))
            }))
            .bind(column(rows, |row| row.reason))
            .bind(column(rows, |row| i64::from(row.at.0)))
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

async fn read_baselines(
    tx: &mut Transaction<'_, Postgres>,
    sql: &'static str,
    keys: &[SessionKey],
) -> Result<Baselines> {
    if keys.is_empty() {
        return Ok(Baselines::new());
    }
    let rows: Vec<BaselineRow> = sqlx::query_as(sql)
        .bind(column(keys, |key| i64::from(key.user.0)))
        .bind(column(keys, |key| i64::from(key.torrent.0)))
        .bind(column(keys, |key| key.peer_id.0.as_slice()))
        .fetch_all(&mut **tx)
        .await?;
    rows.into_iter().map(read_baseline).collect()
}

/// $1 to $16, which updates and inserts have in common.
fn bind_sessions<'q>(
    query: Query<'q, Postgres, PgArguments>,
    rows: &'q [SessionRow<'_>],
) -> Query<'q, Postgres, PgArguments> {
    let to = column(rows, |row| BaselineColumns::from(row.baseline));
    query
        .bind(column(rows, |row| i64::from(row.change.key.user.0)))
        .bind(column(rows, |row| i64::from(row.change.key.torrent.0)))
        .bind(column(rows, |row| row.change.key.peer_id.0.as_slice()))
        .bind(column(&to, |to| to.uploaded))
        .bind(column(&to, |to| to.downloaded))
        .bind(column(&to, |to| to.suspect))
        .bind(column(&to, |to| to.suspect_uploaded))
        .bind(column(&to, |to| to.suspect_downloaded))
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
        .bind(column(rows, |row| i64::from(row.change.announced_at.0)))
        .bind(column(rows, |row| row.change.active))
}

/// One column of many rows.
fn column<R, T>(rows: impl IntoIterator<Item = R>, value: impl Fn(R) -> T) -> Vec<T> {
    rows.into_iter().map(value).collect()
}
