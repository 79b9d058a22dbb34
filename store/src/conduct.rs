//! What members have done, for whoever judges it; and what becomes of them.

use std::collections::HashMap;

use sqlx::FromRow;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::notifications::{NotificationKind, notify};
use crate::roster::page_limit;
use crate::store::reading;

/// What a member has done, and what they were told before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Who.
    pub user: UserId,
    /// What they have earned.
    pub class: UserClass,
    /// The highest class that they ever had.
    pub highest_class: UserClass,
    /// Since when they are below what their class asks for.
    pub below_class_since: Option<UnixTime>,
    /// When they joined.
    pub created_at: UnixTime,
    /// Bytes, as the tracker counted them.
    pub uploaded: u64,
    /// Bytes that count.
    pub credited_uploaded: u64,
    /// Bytes that count.
    pub credited_downloaded: u64,
    /// Seconds, added up over torrents.
    pub seeded_secs: u64,
    /// Torrents that they brought.
    pub torrents: u64,
    /// Since when their ratio is watched.
    pub ratio_watched_since: Option<UnixTime>,
    /// When their downloads were suspended for it.
    pub ratio_suspended_at: Option<UnixTime>,
    /// When they were suspended for hit-and-runs.
    pub hit_and_run_suspended_at: Option<UnixTime>,
    /// What they finished, and may still have to give back.
    pub snatches: Vec<Snatched>,
}

/// A torrent that a member finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snatched {
    /// Which.
    pub torrent: TorrentId,
    /// What people call it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When.
    pub completed_at: UnixTime,
    /// When they were warned that there is little time left.
    pub warned_at: Option<UnixTime>,
    /// Whether it was settled in the shop.
    pub settled: bool,
    /// Bytes of it that they uploaded.
    pub uploaded: u64,
    /// Seconds that they seeded it.
    pub seeded_secs: u64,
    /// Whether they seed it now.
    pub is_seeding: bool,
}

/// What becomes of a member: everything as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// The class that was judged; another one by now, and nothing is changed.
    pub class_before: UserClass,
    /// What they have earned.
    pub class: UserClass,
    /// The highest class that they ever had.
    pub highest_class: UserClass,
    /// Codes that they get.
    pub invites: u32,
    /// Since when they are below what their class asks for.
    pub below_class_since: Option<UnixTime>,
    /// Since when their ratio is watched.
    pub ratio_watched_since: Option<UnixTime>,
    /// When their downloads were suspended for it.
    pub ratio_suspended_at: Option<UnixTime>,
    /// When they were suspended for hit-and-runs.
    pub hit_and_run_suspended_at: Option<UnixTime>,
    /// Snatches that they are warned of.
    pub warned: Vec<TorrentId>,
    /// What they are told.
    pub notices: Vec<(NotificationKind, String)>,
}

impl Verdicts {
    /// And says so.
    pub fn tell(&mut self, kind: NotificationKind, message: String) {
        self.notices.push((kind, message));
    }
}

const MEMBERS: &str = "
    select users.id, users.class, users.highest_class, users.below_class_since, users.created_at, users.uploaded,
        users.credited_uploaded, users.credited_downloaded, users.ratio_watched_since, users.ratio_suspended_at,
        users.hit_and_run_suspended_at,
        (select cast(coalesce(sum(sessions.seeded_secs), 0) as bigint) from sessions where sessions.user_id = users.id)
            as seeded_secs,
        (select count(*) from torrents where torrents.uploader_id = users.id and torrents.deleted_at is null) as torrents
    from users
    where users.id > $1
        and users.status = 'active'
        and users.role in ('member', 'uploader')
    order by users.id
    limit $2";

/// A member's snatches, and their sessions of each, are stretches of primary keys.
const SNATCHES: &str = "
    select snatches.user_id, snatches.torrent_id, torrents.name, torrents.size, snatches.completed_at, snatches.warned_at,
        snatches.settled_at,
        cast(coalesce(sum(sessions.credited_uploaded / 4294967296), 0) as bigint) as uploaded_high,
        cast(coalesce(sum(sessions.credited_uploaded % 4294967296), 0) as bigint) as uploaded_low,
        cast(coalesce(sum(sessions.seeded_secs), 0) as bigint) as seeded_secs,
        count(case when sessions.active and sessions.role = 'seeder' then 1 end) as seeding
    from snatches
    join torrents on torrents.id = snatches.torrent_id
    left join sessions on sessions.user_id = snatches.user_id and sessions.torrent_id = snatches.torrent_id
    where snatches.user_id between $1 and $2
        and snatches.completed_at >= $3
    group by snatches.user_id, snatches.torrent_id, torrents.name, torrents.size, snatches.completed_at,
        snatches.warned_at, snatches.settled_at";

const CHANGE: &str = "
    update users
    set class = $1, highest_class = $2, invites = invites + $3, below_class_since = $4, ratio_watched_since = $5,
        ratio_suspended_at = $6, hit_and_run_suspended_at = $7
    where id = $8 and class = $9";

const WARN: &str = "
    update snatches
    set warned_at = $1
    where user_id = $2 and torrent_id = $3";

#[derive(FromRow)]
struct ConductRow {
    id: i64,
    class: String,
    highest_class: String,
    below_class_since: Option<i64>,
    created_at: i64,
    uploaded: i64,
    credited_uploaded: i64,
    credited_downloaded: i64,
    ratio_watched_since: Option<i64>,
    ratio_suspended_at: Option<i64>,
    hit_and_run_suspended_at: Option<i64>,
    seeded_secs: i64,
    torrents: i64,
}

#[derive(FromRow)]
struct SnatchRow {
    user_id: i64,
    torrent_id: i64,
    name: String,
    size: i64,
    completed_at: i64,
    warned_at: Option<i64>,
    settled_at: Option<i64>,
    uploaded_high: i64,
    uploaded_low: i64,
    seeded_secs: i64,
    seeding: i64,
}

impl Store {
    /// What members have done, those after `after`, with what they finished since `since`. Nobody judges staff, nor those
    /// who are disabled.
    pub async fn conduct(
        &self,
        after: UserId,
        since: UnixTime,
        limit: u32,
    ) -> Result<Vec<Conduct>> {
        let rows: Vec<ConductRow> = reading!(self, |pool| {
            sqlx::query_as(MEMBERS)
                .bind(i64::from(after.0))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Vec::new());
        };
        let (first, last) = (first.id, last.id);
        let snatches: Vec<SnatchRow> = reading!(self, |pool| {
            sqlx::query_as(SNATCHES)
                .bind(first)
                .bind(last)
                .bind(i64::from(since.0))
                .fetch_all(pool)
                .await
        })?;
        let mut by_user: HashMap<i64, Vec<Snatched>> = HashMap::new();
        for row in snatches {
            by_user
                .entry(row.user_id)
                .or_default()
                .push(row.try_into()?);
        }
        rows.into_iter()
            .map(|row| {
                let snatches = by_user.remove(&row.id).unwrap_or_default();
                row.with(snatches)
            })
            .collect()
    }

    /// Lets verdicts take effect; trackers follow. `false`: somebody has given the member another class meanwhile.
    pub async fn carry_out(&self, user: UserId, verdicts: &Verdicts, at: UnixTime) -> Result<bool> {
        let time = |at: Option<UnixTime>| at.map(|at| i64::from(at.0));
        changing!(self, |tx, number| {
            let changed = sqlx::query(CHANGE)
                .bind(verdicts.class.word())
                .bind(verdicts.highest_class.word())
                .bind(i64::from(verdicts.invites))
                .bind(time(verdicts.below_class_since))
                .bind(time(verdicts.ratio_watched_since))
                .bind(time(verdicts.ratio_suspended_at))
                .bind(time(verdicts.hit_and_run_suspended_at))
                .bind(i64::from(user.0))
                .bind(verdicts.class_before.word())
                .execute(&mut *tx)
                .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            for torrent in &verdicts.warned {
                sqlx::query(WARN)
                    .bind(i64::from(at.0))
                    .bind(i64::from(user.0))
                    .bind(i64::from(torrent.0))
                    .execute(&mut *tx)
                    .await?;
            }
            for (kind, message) in &verdicts.notices {
                notify!(tx, user, *kind, message, at);
            }
            record_change!(tx, number, Changed::User(user), at);
            true
        })
    }
}

impl ConductRow {
    fn with(self, snatches: Vec<Snatched>) -> Result<Conduct> {
        let count = columns::count;
        Ok(Conduct {
            user: UserId(columns::id(self.id, "users.id")?),
            class: UserClass::parse(&self.class)?,
            highest_class: UserClass::parse(&self.highest_class)?,
            below_class_since: maybe(self.below_class_since, "users.below_class_since")?,
            created_at: columns::time(self.created_at, "users.created_at")?,
            uploaded: count(self.uploaded, "users.uploaded")?,
            credited_uploaded: count(self.credited_uploaded, "users.credited_uploaded")?,
            credited_downloaded: count(self.credited_downloaded, "users.credited_downloaded")?,
            seeded_secs: count(self.seeded_secs, "sessions.seeded_secs")?,
            torrents: count(self.torrents, "torrents")?,
            ratio_watched_since: maybe(self.ratio_watched_since, "users.ratio_watched_since")?,
            ratio_suspended_at: maybe(self.ratio_suspended_at, "users.ratio_suspended_at")?,
            hit_and_run_suspended_at: maybe(
                self.hit_and_run_suspended_at,
                "users.hit_and_run_suspended_at",
            )?,
            snatches,
        })
    }
}

fn maybe(at: Option<i64>, column: &'static str) -> Result<Option<UnixTime>> {
    at.map(|at| columns::time(at, column)).transpose()
}

impl TryFrom<SnatchRow> for Snatched {
    type Error = StoreError;

    fn try_from(row: SnatchRow) -> Result<Self> {
        let uploaded = (i128::from(row.uploaded_high) << 32) + i128::from(row.uploaded_low);
        Ok(Self {
            torrent: TorrentId(columns::id(row.torrent_id, "snatches.torrent_id")?),
            name: row.name,
            size: columns::count(row.size, "torrents.size")?,
            completed_at: columns::time(row.completed_at, "snatches.completed_at")?,
            warned_at: maybe(row.warned_at, "snatches.warned_at")?,
            settled: row.settled_at.is_some(),
            uploaded: u64::try_from(uploaded).unwrap_or(u64::MAX),
            seeded_secs: columns::count(row.seeded_secs, "sessions.seeded_secs")?,
            is_seeding: row.seeding > 0,
        })
    }
}
