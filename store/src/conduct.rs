//! How members stand, for whoever judges them; and what becomes of them.

use sqlx::FromRow;
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::notifications::{NotificationKind, notify};
use crate::roster::page_limit;
use crate::store::reading;

/// Remembers the class that a member had until the moment that stands in their row since.
pub(crate) const RECORD_CLASS_CHANGE: &str = "
    insert into class_changes (user_id, at, class_before)
    select id, class_changed_at, $1
    from users
    where id = $2";

macro_rules! record_class_change {
    ($tx:ident, $user:expr, $before:expr) => {
        sqlx::query(crate::conduct::RECORD_CLASS_CHANGE)
            .bind(crate::columns::Word::word($before))
            .bind(i64::from($user.0))
            .execute(&mut *$tx)
            .await?
    };
}

pub(crate) use record_class_change;

/// How a member stands, and what they were told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Who.
    pub user: UserId,
    /// What they have earned.
    pub class: UserClass,
    /// The highest class that they ever had.
    pub highest_class: UserClass,
    /// Since when they are below what their class asks for.
    pub below_class_since: Option<UnixTime>,
    /// Bytes that count.
    pub credited: Counters,
    /// Since when their ratio is watched.
    pub ratio_watched_since: Option<UnixTime>,
    /// When their downloads were suspended for it.
    pub ratio_suspended_at: Option<UnixTime>,
    /// When they were suspended for hit-and-runs.
    pub hit_and_run_suspended_at: Option<UnixTime>,
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
    select id, class, highest_class, below_class_since, credited_uploaded, credited_downloaded, ratio_watched_since,
        ratio_suspended_at, hit_and_run_suspended_at
    from users
    where id > $1
        and status = 'active'
        and role in ('member', 'uploader')
    order by id
    limit $2";

const CHANGE: &str = "
    update users
    set class = $1,
        class_changed_at = case
            when $1 = class then class_changed_at
            when class_changed_at >= $10 then class_changed_at + 1
            else $10
        end,
        highest_class = $2, invites = invites + $3, below_class_since = $4, ratio_watched_since = $5,
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
    credited_uploaded: i64,
    credited_downloaded: i64,
    ratio_watched_since: Option<i64>,
    ratio_suspended_at: Option<i64>,
    hit_and_run_suspended_at: Option<i64>,
}

impl Store {
    /// Members in the order of their numbers, those after `after`. Nobody judges staff, nor those who are disabled.
    pub async fn conduct(&self, after: UserId, limit: u32) -> Result<Vec<Conduct>> {
        let rows: Vec<ConductRow> = reading!(self, |pool| {
            sqlx::query_as(MEMBERS)
                .bind(i64::from(after.0))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Conduct::try_from).collect()
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
                .bind(i64::from(at.0))
                .execute(&mut *tx)
                .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            if verdicts.class != verdicts.class_before {
                record_class_change!(tx, user, verdicts.class_before);
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

impl TryFrom<ConductRow> for Conduct {
    type Error = StoreError;

    fn try_from(row: ConductRow) -> Result<Self> {
        let time = columns::maybe_time;
        let count = columns::count;
        Ok(Self {
            user: UserId(columns::id(row.id, "users.id")?),
            class: UserClass::parse(&row.class)?,
            highest_class: UserClass::parse(&row.highest_class)?,
            below_class_since: time(row.below_class_since, "users.below_class_since")?,
            credited: Counters {
                uploaded: count(row.credited_uploaded, "users.credited_uploaded")?,
                downloaded: count(row.credited_downloaded, "users.credited_downloaded")?,
            },
            ratio_watched_since: time(row.ratio_watched_since, "users.ratio_watched_since")?,
            ratio_suspended_at: time(row.ratio_suspended_at, "users.ratio_suspended_at")?,
            hit_and_run_suspended_at: time(
                row.hit_and_run_suspended_at,
                "users.hit_and_run_suspended_at",
            )?,
        })
    }
}
