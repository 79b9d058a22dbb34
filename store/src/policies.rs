//! When traffic counts for less or more: freeleech and upload factors, each with its exact start and end. What was
//! in effect is never changed afterwards: a policy that has begun can only end.

use std::collections::HashSet;

use economy::window::{Scope, Window};
use sqlx::FromRow;
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::audit::record_audit;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::reading;

/// Policies that haven't ended at most: each transaction of the ledger reads them.
pub const POLICIES_MAX: u32 = 1_000;

/// A policy, as admins see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPolicy {
    /// Row number.
    pub id: i64,
    /// What holds, for whom, from when to when.
    pub window: Window,
    /// The torrent's, if it is for one.
    pub info_hash: Option<InfoHash>,
    /// The member's name, if it is for one.
    pub username: Option<String>,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: UnixTime,
}

/// What became of a wish for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPolicy {
    /// Its number.
    Made(i64),
    /// That one is for the same, and holds at a moment when this would.
    Overlaps(i64),
    /// There are [`POLICIES_MAX`] already.
    Full,
}

/// What became of a wish to end a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedPolicy {
    /// It held, and ends now.
    Ended,
    /// It hadn't begun, and is gone.
    Deleted,
    /// It had ended before.
    Over,
}

pub(crate) const IN_EFFECT_SINCE: &str = "
    select scope, class, torrent_id, user_id, download_percent, upload_percent, starts_at, ends_at
    from policies
    where ends_at is null or ends_at > $1";

const FREELEECH: &str = "
    select torrent_id
    from policies
    where download_percent = 0
        and scope in ('global', 'torrent')
        and starts_at <= $1
        and (ends_at is null or ends_at > $1)";

const LIST: &str = "
    select policies.id, policies.scope, policies.class, policies.torrent_id, policies.user_id, policies.download_percent,
        policies.upload_percent, policies.starts_at, policies.ends_at, torrents.info_hash, targets.username,
        users.username as created_by, policies.created_at
    from policies
    join users on users.id = policies.created_by
    left join users targets on targets.id = policies.user_id
    left join torrents on torrents.id = policies.torrent_id
    where policies.id < $1
    order by policies.id desc
    limit $2";

const COUNT: &str = "
    select count(*)
    from policies
    where ends_at is null or ends_at > $1";

const OVERLAPPING: &str = "
    select id
    from policies
    where scope = $1
        and coalesce(class, '') = coalesce($2, '')
        and coalesce(torrent_id, 0) = coalesce($3, 0)
        and coalesce(user_id, 0) = coalesce($4, 0)
        and (ends_at is null or ends_at > $5)
        and starts_at < $6
    order by id
    limit 1";

const CREATE: &str = "
    insert into policies (
        scope, class, torrent_id, user_id, download_percent, upload_percent, starts_at, ends_at, created_by, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    returning id";

const TIMES: &str = "
    select starts_at, ends_at
    from policies
    where id = $1";

const END: &str = "
    update policies
    set ends_at = $1
    where id = $2";

const DELETE: &str = "
    delete from policies
    where id = $1";

#[derive(FromRow)]
pub(crate) struct WindowRow {
    scope: String,
    class: Option<String>,
    torrent_id: Option<i64>,
    user_id: Option<i64>,
    download_percent: i64,
    upload_percent: i64,
    starts_at: i64,
    ends_at: Option<i64>,
}

#[derive(FromRow)]
struct PolicyRow {
    id: i64,
    #[sqlx(flatten)]
    window: WindowRow,
    info_hash: Option<Vec<u8>>,
    username: Option<String>,
    created_by: String,
    created_at: i64,
}

/// Which torrents cost nobody anything at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freeleech {
    all: bool,
    torrents: HashSet<TorrentId>,
}

impl Freeleech {
    /// Whether downloads of it don't count.
    pub fn holds(&self, torrent: TorrentId) -> bool {
        self.all || self.torrents.contains(&torrent)
    }
}

impl Store {
    /// Which torrents cost nobody anything.
    pub async fn freeleech(&self, at: UnixTime) -> Result<Freeleech> {
        let rows: Vec<Option<i64>> = reading!(self, |pool| {
            sqlx::query_scalar(FREELEECH)
                .bind(i64::from(at.0))
                .fetch_all(pool)
                .await
        })?;
        let mut freeleech = Freeleech::default();
        for torrent in rows {
            match torrent {
                None => freeleech.all = true,
                Some(torrent) => {
                    let torrent = columns::id(torrent, "policies.torrent_id")?;
                    freeleech.torrents.insert(TorrentId(torrent));
                }
            }
        }
        Ok(freeleech)
    }

    /// Policies that hold, held or will, newest first: those before the one of that number.
    pub async fn policies(&self, before: i64, limit: u32) -> Result<Vec<StoredPolicy>> {
        let rows: Vec<PolicyRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(StoredPolicy::try_from).collect()
    }

    /// Adds a policy. `description` is for the audit.
    pub async fn create_policy(
        &self,
        window: &Window,
        description: &str,
        by: UserId,
        at: UnixTime,
    ) -> Result<NewPolicy> {
        let (scope, class, torrent, user) = columns_of(window.scope);
        let ends_at = window.ends_at.map(|end| i64::from(end.0));
        changing!(self, |tx, number| {
            let count: i64 = sqlx::query_scalar(COUNT)
                .bind(i64::from(at.0))
                .fetch_one(&mut *tx)
                .await?;
            if count >= i64::from(POLICIES_MAX) {
                return Ok(NewPolicy::Full);
            }
            let overlapping: Option<i64> = sqlx::query_scalar(OVERLAPPING)
                .bind(scope)
                .bind(class)
                .bind(torrent)
                .bind(user)
                .bind(i64::from(window.starts_at.0))
                .bind(ends_at.unwrap_or(i64::MAX))
                .fetch_optional(&mut *tx)
                .await?;
            if let Some(other) = overlapping {
                return Ok(NewPolicy::Overlaps(other));
            }
            let id: i64 = sqlx::query_scalar(CREATE)
                .bind(scope)
                .bind(class)
                .bind(torrent)
                .bind(user)
                .bind(i64::from(window.download_percent))
                .bind(i64::from(window.upload_percent))
                .bind(i64::from(window.starts_at.0))
                .bind(ends_at)
                .bind(i64::from(by.0))
                .bind(i64::from(at.0))
                .fetch_one(&mut *tx)
                .await?;
            let subject = format!("policy:{id}");
            record_audit!(tx, by, "policy.create", subject, description, at);
            record_change!(tx, number, Changed::Policies, at);
            NewPolicy::Made(id)
        })
    }

    /// Ends a policy, as of now.
    pub async fn end_policy(&self, id: i64, by: UserId, at: UnixTime) -> Result<EndedPolicy> {
        let now = i64::from(at.0);
        changing!(self, |tx, number| {
            let times: Option<(i64, Option<i64>)> = sqlx::query_as(TIMES)
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
            let (starts_at, ends_at) = times.ok_or(StoreError::NotFound { what: "policy" })?;
            if ends_at.is_some_and(|end| end <= now) {
                return Ok(EndedPolicy::Over);
            }
            let ended = if starts_at <= now {
                sqlx::query(END)
                    .bind(now)
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
                EndedPolicy::Ended
            } else {
                sqlx::query(DELETE).bind(id).execute(&mut *tx).await?;
                EndedPolicy::Deleted
            };
            let subject = format!("policy:{id}");
            record_audit!(tx, by, "policy.end", subject, "", at);
            record_change!(tx, number, Changed::Policies, at);
            ended
        })
    }
}

type ScopeColumns = (&'static str, Option<&'static str>, Option<i64>, Option<i64>);

fn columns_of(scope: Scope) -> ScopeColumns {
    match scope {
        Scope::Global => ("global", None, None, None),
        Scope::Class(class) => ("class", Some(class.word()), None, None),
        Scope::Torrent(torrent) => ("torrent", None, Some(torrent.0.into()), None),
        Scope::User(user) => ("user", None, None, Some(user.0.into())),
    }
}

impl TryFrom<WindowRow> for Window {
    type Error = StoreError;

    fn try_from(row: WindowRow) -> Result<Self> {
        let corrupt = || StoreError::corrupt("policies.scope", &row.scope);
        let scope = match (row.scope.as_str(), row.class, row.torrent_id, row.user_id) {
            ("global", ..) => Scope::Global,
            ("class", Some(class), ..) => Scope::Class(UserClass::parse(&class)?),
            ("torrent", _, Some(torrent), _) => {
                Scope::Torrent(TorrentId(columns::id(torrent, "policies.torrent_id")?))
            }
            ("user", .., Some(user)) => Scope::User(UserId(columns::id(user, "policies.user_id")?)),
            _ => return Err(corrupt()),
        };
        let percent = |value: i64, column| {
            u16::try_from(value).map_err(|_| StoreError::corrupt(column, value))
        };
        Ok(Self {
            scope,
            download_percent: percent(row.download_percent, "policies.download_percent")?,
            upload_percent: percent(row.upload_percent, "policies.upload_percent")?,
            starts_at: columns::time(row.starts_at, "policies.starts_at")?,
            ends_at: columns::maybe_time(row.ends_at, "policies.ends_at")?,
        })
    }
}

impl TryFrom<PolicyRow> for StoredPolicy {
    type Error = StoreError;

    fn try_from(row: PolicyRow) -> Result<Self> {
        let info_hash = columns::maybe_array(row.info_hash, "torrents.info_hash")?;
        Ok(Self {
            id: row.id,
            window: row.window.try_into()?,
            info_hash: info_hash.map(InfoHash),
            username: row.username,
            created_by: row.created_by,
            created_at: columns::time(row.created_at, "policies.created_at")?,
        })
    }
}
