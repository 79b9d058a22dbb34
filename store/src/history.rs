//! What members did, for simulations: read in pages, and never written. A page begins after the last row of the one before.

use std::ops::Range;

use economy::simulate::{Completed, Member, Seeding, Torrent, Traffic};
use economy::window::Window;
use sqlx::FromRow;
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::columns::{self, COUNT_MAX, Word};
use crate::error::{Result, StoreError};
use crate::policies::{IN_EFFECT_SINCE, WindowRow};
use crate::roster::page_limit;
use crate::store::reading;

/// The hour in which traffic was moved, and what; the last of a page is where the next begins. A member whose class changed
/// in the hour has two for a torrent.
pub type TrafficOfHour = (u32, Traffic);

const NAMES: &str = "
    select id, username
    from users
    where id > $1
    order by id
    limit $2";

/// What counted since is taken from what counts now. Sums in two halves, as they may have more than 64 bits; `counted` is in
/// hundredths.
const MEMBERS: &str = "
    select users.id, users.class, users.created_at, users.credited_uploaded, users.credited_downloaded,
        coalesce(cast(sum(traffic.counted_uploaded / 4294967296) as bigint), 0) as up_high,
        coalesce(cast(sum(traffic.counted_uploaded % 4294967296) as bigint), 0) as up_low,
        coalesce(cast(sum(traffic.counted_downloaded / 4294967296) as bigint), 0) as down_high,
        coalesce(cast(sum(traffic.counted_downloaded % 4294967296) as bigint), 0) as down_low
    from (
        select id, created_at, credited_uploaded, credited_downloaded, coalesce((
            select class_before
            from class_changes
            where class_changes.user_id = users.id
                and class_changes.at > $3 * 3600
            order by class_changes.at
            limit 1), class) as class
        from users
        where id > $1
        order by id
        limit $2) as users
    left join traffic on traffic.user_id = users.id and traffic.hour >= $3
    group by users.id, users.class, users.created_at, users.credited_uploaded, users.credited_downloaded
    order by users.id";

const TORRENTS: &str = "
    select id, uploader_id, size, created_at
    from torrents
    where id > $1
    order by id
    limit $2";

const SNATCHES: &str = "
    select user_id, torrent_id, completed_at
    from snatches
    where (user_id, torrent_id) > ($1, $2)
    order by user_id, torrent_id
    limit $3";

/// A member's clients in one torrent together.
const SEEDINGS: &str = "
    select sessions.user_id, sessions.torrent_id, min(sessions.started_at) as started_at,
        max(sessions.announced_at) as announced_at, cast(sum(sessions.seeded_secs) as bigint) as seeded_secs,
        max(snatches.completed_at) as completed_at
    from sessions
    left join snatches on snatches.user_id = sessions.user_id and snatches.torrent_id = sessions.torrent_id
    where sessions.seeded_secs > 0
        and (sessions.user_id, sessions.torrent_id) > ($1, $2)
    group by sessions.user_id, sessions.torrent_id
    order by sessions.user_id, sessions.torrent_id
    limit $3";

const TRAFFIC: &str = "
    select user_id, torrent_id, hour, cast(sum(uploaded) as bigint), cast(sum(downloaded) as bigint)
    from traffic
    where hour >= $1
        and hour < $2
        and (hour, user_id, torrent_id) > ($3, $4, $5)
    group by hour, user_id, torrent_id
    order by hour, user_id, torrent_id
    limit $6";

#[derive(FromRow)]
struct MemberRow {
    id: i64,
    class: String,
    created_at: i64,
    credited_uploaded: i64,
    credited_downloaded: i64,
    up_high: i64,
    up_low: i64,
    down_high: i64,
    down_low: i64,
}

#[derive(FromRow)]
struct SeedingRow {
    user_id: i64,
    torrent_id: i64,
    started_at: i64,
    announced_at: i64,
    seeded_secs: i64,
    completed_at: Option<i64>,
}

impl Store {
    /// What members are called.
    pub async fn usernames(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, String)>> {
        let rows: Vec<(i64, String)> = reading!(self, |pool| {
            sqlx::query_as(NAMES)
                .bind(after.map_or(-1, |user| i64::from(user.0)))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(id, name)| Ok((user(id)?, name)))
            .collect()
    }

    /// Members with what they had before an hour, and the class that they had then: who joined since has begun as a newbie.
    pub async fn members_of_history(
        &self,
        from_hour: u32,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Member>> {
        let rows: Vec<MemberRow> = reading!(self, |pool| {
            sqlx::query_as(MEMBERS)
                .bind(after.map_or(-1, |user| i64::from(user.0)))
                .bind(page_limit(limit))
                .bind(i64::from(from_hour))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|row| {
                let joined_at = columns::time(row.created_at, "users.created_at")?;
                let class = UserClass::parse(&row.class)?;
                Ok(Member {
                    id: user(row.id)?,
                    joined_at,
                    class: if joined_at.0 / 3600 < from_hour {
                        class
                    } else {
                        UserClass::Newbie
                    },
                    before: Counters {
                        uploaded: before(row.credited_uploaded, row.up_high, row.up_low),
                        downloaded: before(row.credited_downloaded, row.down_high, row.down_low),
                    },
                })
            })
            .collect()
    }

    /// All torrents, deleted ones among them.
    pub async fn torrents_of_history(
        &self,
        after: Option<TorrentId>,
        limit: u32,
    ) -> Result<Vec<Torrent>> {
        let rows: Vec<(i64, Option<i64>, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(TORRENTS)
                .bind(after.map_or(-1, |torrent| i64::from(torrent.0)))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(id, uploader, size, created_at)| {
                Ok(Torrent {
                    id: torrent(id)?,
                    uploader: uploader.map(user).transpose()?,
                    size: columns::count(size, "torrents.size")?,
                    created_at: columns::time(created_at, "torrents.created_at")?,
                })
            })
            .collect()
    }

    /// All snatches.
    pub async fn snatches_of_history(
        &self,
        after: Option<(UserId, TorrentId)>,
        limit: u32,
    ) -> Result<Vec<Completed>> {
        let (after_user, after_torrent) = numbers(after);
        let rows: Vec<(i64, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(SNATCHES)
                .bind(after_user)
                .bind(after_torrent)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(of, what, completed_at)| {
                Ok(Completed {
                    user: user(of)?,
                    torrent: torrent(what)?,
                    completed_at: columns::time(completed_at, "snatches.completed_at")?,
                })
            })
            .collect()
    }

    /// Who seeded what: from when the torrent was complete, or the session began, to the last announce, and for how long of
    /// it. When within it isn't known.
    pub async fn seedings_of_history(
        &self,
        after: Option<(UserId, TorrentId)>,
        limit: u32,
    ) -> Result<Vec<Seeding>> {
        let (after_user, after_torrent) = numbers(after);
        let rows: Vec<SeedingRow> = reading!(self, |pool| {
            sqlx::query_as(SEEDINGS)
                .bind(after_user)
                .bind(after_torrent)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|row| {
                let started_at = columns::time(row.started_at, "sessions.started_at")?;
                let to = columns::time(row.announced_at, "sessions.announced_at")?;
                let completed_at = row
                    .completed_at
                    .map(|at| columns::time(at, "snatches.completed_at"))
                    .transpose()?;
                let secs = columns::count(row.seeded_secs, "sessions.seeded_secs")?;
                Ok(Seeding {
                    user: user(row.user_id)?,
                    torrent: torrent(row.torrent_id)?,
                    from: completed_at
                        .filter(|at| *at <= to)
                        .map_or(started_at, |at| at.max(started_at)),
                    to,
                    secs: u32::try_from(secs).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }

    /// Traffic of some hours, as it was announced, by member, torrent and hour.
    pub async fn traffic_of_history(
        &self,
        hours: Range<u32>,
        after: Option<(UserId, TorrentId, u32)>,
        limit: u32,
    ) -> Result<Vec<TrafficOfHour>> {
        let (after_user, after_torrent) = numbers(after.map(|(user, torrent, _)| (user, torrent)));
        let rows: Vec<(i64, i64, i64, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(TRAFFIC)
                .bind(i64::from(hours.start))
                .bind(i64::from(hours.end))
                .bind(after.map_or(-1, |(.., hour)| i64::from(hour)))
                .bind(after_user)
                .bind(after_torrent)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(of, what, hour, uploaded, downloaded)| {
                let moved = Counters {
                    uploaded: columns::count(uploaded, "traffic.uploaded")?,
                    downloaded: columns::count(downloaded, "traffic.downloaded")?,
                };
                let traffic = Traffic {
                    user: user(of)?,
                    torrent: torrent(what)?,
                    moved,
                };
                Ok((columns::id(hour, "traffic.hour")?, traffic))
            })
            .collect()
    }

    /// The first and the last hour of recorded traffic.
    pub async fn hours_of_history(&self) -> Result<Option<(u32, u32)>> {
        let hours: (Option<i64>, Option<i64>) = reading!(self, |pool| {
            sqlx::query_as("select min(hour), max(hour) from traffic")
                .fetch_one(pool)
                .await
        })?;
        let (Some(first), Some(last)) = hours else {
            return Ok(None);
        };
        Ok(Some((
            columns::id(first, "traffic.hour")?,
            columns::id(last, "traffic.hour")?,
        )))
    }

    /// Freeleech and upload factors that were, or are, in effect after a moment.
    pub async fn windows_since(&self, at: UnixTime) -> Result<Vec<Window>> {
        let rows: Vec<WindowRow> = reading!(self, |pool| {
            sqlx::query_as(IN_EFFECT_SINCE)
                .bind(i64::from(at.0))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Window::try_from).collect()
    }
}

fn user(id: i64) -> Result<UserId, StoreError> {
    columns::id(id, "user_id").map(UserId)
}

fn torrent(id: i64) -> Result<TorrentId, StoreError> {
    columns::id(id, "torrent_id").map(TorrentId)
}

fn numbers(after: Option<(UserId, TorrentId)>) -> (i64, i64) {
    after.map_or((-1, -1), |(user, torrent)| {
        (user.0.into(), torrent.0.into())
    })
}

/// Whole bytes: now, less hundredths that came since.
fn before(now: i64, high: i64, low: i64) -> u64 {
    let since = ((i128::from(high) << 32) + i128::from(low)) / 100;
    let bytes = (i128::from(now) - since).clamp(0, i128::from(COUNT_MAX));
    u64::try_from(bytes).unwrap_or(COUNT_MAX)
}
