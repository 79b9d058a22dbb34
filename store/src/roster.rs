//! What a tracker loads when it starts, page by page, and reads again row by row as it follows the changes. A page
//! begins after the last row of the one before, so that it costs the same wherever it is.

use sqlx::FromRow;
use tracker_core::ids::{InfoHash, PeerId, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, RevokedToken, TorrentStatus, UserClass,
};
use tracker_core::session::StoredSession;

use crate::Store;
use crate::columns::{self, BaselineColumns, Word};
use crate::error::{Result, StoreError};
use crate::store::{in_transaction, reading};

/// The most rows in a page: a few megabytes, and a few milliseconds of a reader's time.
pub const PAGE_MAX: u32 = 10_000;

pub(crate) fn page_limit(asked: u32) -> i64 {
    i64::from(asked.min(PAGE_MAX))
}

const MEMBERS: &str = "
    select id, status, class, ratio_watched_since, ratio_suspended_at, hit_and_run_suspended_at, passkey
    from users
    where id > $1
    order by id
    limit $2";

const MEMBER: &str = "
    select id, status, class, ratio_watched_since, ratio_suspended_at, hit_and_run_suspended_at, passkey
    from users
    where id = $1";

const COUNT_MEMBERS: &str = "
    select count(*)
    from users";

const TORRENTS: &str = "
    select id, info_hash, info_hash_v2, status, completed
    from torrents
    where id > $1
    order by id
    limit $2";

const TORRENT: &str = "
    select id, info_hash, info_hash_v2, status, completed
    from torrents
    where id = $1";

const COUNT_TORRENTS: &str = "
    select count(*)
    from torrents";

const REVOKED_TOKENS: &str = "
    select id, expires_at
    from tokens
    where revoked_at is not null
        and (expires_at is null or expires_at > $1)
        and id > $2
    order by id
    limit $3";

const TOKEN_REVOCATION: &str = "
    select id, expires_at
    from tokens
    where revoked_at is not null
        and id = $1";

const ACTIVE_SESSIONS: &str = "
    select user_id, torrent_id, peer_id, uploaded, downloaded, suspect, suspect_uploaded, suspect_downloaded, role,
        endpoint4, endpoint6, announced_at
    from sessions
    where active
        and announced_at >= $1
        and (user_id, torrent_id, peer_id) > ($2, $3, $4)
    order by user_id, torrent_id, peer_id
    limit $5";

const COUNT_ACTIVE_SESSIONS: &str = "
    select count(*)
    from sessions
    where active
        and announced_at >= $1";

const RETIRE_SESSIONS: &str = "
    update sessions
    set active = false
    where active
        and announced_at < $1";

impl Store {
    /// Members in the order of their numbers: at most `limit` and [`PAGE_MAX`], those after `after`.
    pub async fn members(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Member>> {
        let after = after.map_or(-1, |user| i64::from(user.0));
        let rows: Vec<MemberRow> = reading!(self, |pool| {
            sqlx::query_as(MEMBERS)
                .bind(after)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Member::try_from).collect()
    }

    /// One member as they are now.
    pub async fn member(&self, id: UserId) -> Result<Option<Member>> {
        let row: Option<MemberRow> = reading!(self, |pool| {
            sqlx::query_as(MEMBER)
                .bind(i64::from(id.0))
                .fetch_optional(pool)
                .await
        })?;
        row.map(Member::try_from).transpose()
    }

    /// How many members there are, for a progress bar.
    pub async fn count_members(&self) -> Result<u64> {
        let members: i64 = reading!(self, |pool| sqlx::query_scalar(COUNT_MEMBERS)
            .fetch_one(pool)
            .await)?;
        columns::count(members, "count of users")
    }

    /// Torrents in the order of their numbers, the closed ones too: they are refused by their own name.
    pub async fn torrents(
        &self,
        after: Option<TorrentId>,
        limit: u32,
    ) -> Result<Vec<RegisteredTorrent>> {
        let after = after.map_or(-1, |torrent| i64::from(torrent.0));
        let rows: Vec<TorrentRow> = reading!(self, |pool| {
            sqlx::query_as(TORRENTS)
                .bind(after)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(RegisteredTorrent::try_from).collect()
    }

    /// One torrent as it is now.
    pub async fn torrent(&self, id: TorrentId) -> Result<Option<RegisteredTorrent>> {
        let row: Option<TorrentRow> = reading!(self, |pool| {
            sqlx::query_as(TORRENT)
                .bind(i64::from(id.0))
                .fetch_optional(pool)
                .await
        })?;
        row.map(RegisteredTorrent::try_from).transpose()
    }

    /// How many torrents there are, for a progress bar.
    pub async fn count_torrents(&self) -> Result<u64> {
        let torrents: i64 = reading!(self, |pool| sqlx::query_scalar(COUNT_TORRENTS)
            .fetch_one(pool)
            .await)?;
        columns::count(torrents, "count of torrents")
    }

    /// Revoked tokens that haven't expired at `now`, in the order of their numbers.
    pub async fn revoked_tokens(
        &self,
        now: UnixTime,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<RevokedToken>> {
        let after = after.map_or(-1, |token| i64::from(token.0));
        let rows: Vec<TokenRow> = reading!(self, |pool| {
            sqlx::query_as(REVOKED_TOKENS)
                .bind(i64::from(now.0))
                .bind(after)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(RevokedToken::try_from).collect()
    }

    /// The revocation of one token, if it was revoked.
    pub async fn token_revocation(&self, id: TokenId) -> Result<Option<RevokedToken>> {
        let row: Option<TokenRow> = reading!(self, |pool| {
            sqlx::query_as(TOKEN_REVOCATION)
                .bind(i64::from(id.0))
                .fetch_optional(pool)
                .await
        })?;
        row.map(RevokedToken::try_from).transpose()
    }

    /// Sessions still in their swarms that announced at `since` or later, in the order of their keys.
    pub async fn active_sessions(
        &self,
        since: UnixTime,
        after: Option<&SessionKey>,
        limit: u32,
    ) -> Result<Vec<StoredSession>> {
        // Before all others: row numbers begin at 1.
        let (user, torrent, peer_id) = after.map_or((-1, -1, [].as_slice()), |key| {
            (
                i64::from(key.user.0),
                i64::from(key.torrent.0),
                key.peer_id.0.as_slice(),
            )
        });
        let rows: Vec<SessionRow> = reading!(self, |pool| {
            sqlx::query_as(ACTIVE_SESSIONS)
                .bind(i64::from(since.0))
                .bind(user)
                .bind(torrent)
                .bind(peer_id)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(StoredSession::try_from).collect()
    }

    /// How many [`active_sessions`](Self::active_sessions) there are, for a progress bar.
    pub async fn count_active_sessions(&self, since: UnixTime) -> Result<u64> {
        let sessions: i64 = reading!(self, |pool| {
            sqlx::query_scalar(COUNT_ACTIVE_SESSIONS)
                .bind(i64::from(since.0))
                .fetch_one(pool)
                .await
        })?;
        columns::count(sessions, "count of sessions")
    }

    /// Marks sessions that went without a word before `before` as gone, so that loading doesn't read past them every
    /// time. Their baselines stay. Returns how many there were.
    pub async fn retire_sessions(&self, before: UnixTime) -> Result<u64> {
        in_transaction!(self, |tx| {
            let retired = sqlx::query(RETIRE_SESSIONS)
                .bind(i64::from(before.0))
                .execute(&mut *tx)
                .await?;
            retired.rows_affected()
        })
    }
}

#[derive(FromRow)]
struct MemberRow {
    id: i64,
    status: String,
    class: String,
    ratio_watched_since: Option<i64>,
    ratio_suspended_at: Option<i64>,
    hit_and_run_suspended_at: Option<i64>,
    passkey: Option<Vec<u8>>,
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self> {
        Ok(Self {
            id: UserId(columns::id(row.id, "users.id")?),
            status: MemberStatus::parse(&row.status)?,
            class: UserClass::parse(&row.class)?,
            leech: match row.ratio_suspended_at.or(row.hit_and_run_suspended_at) {
                Some(_) => LeechRights::Suspended,
                None if row.ratio_watched_since.is_some() => LeechRights::Warned,
                None => LeechRights::Free,
            },
            passkey: columns::maybe_array(row.passkey, "users.passkey")?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct TorrentRow {
    id: i64,
    info_hash: Vec<u8>,
    info_hash_v2: Option<Vec<u8>>,
    status: String,
    completed: i64,
}

impl TryFrom<TorrentRow> for RegisteredTorrent {
    type Error = StoreError;

    fn try_from(row: TorrentRow) -> Result<Self> {
        Ok(Self {
            id: TorrentId(columns::id(row.id, "torrents.id")?),
            info_hash: InfoHash(columns::array(&row.info_hash, "torrents.info_hash")?),
            info_hash_v2: columns::maybe_array(row.info_hash_v2, "torrents.info_hash_v2")?
                .map(InfoHash),
            status: TorrentStatus::parse(&row.status)?,
            completed: columns::id(row.completed, "torrents.completed")?,
        })
    }
}

#[derive(FromRow)]
struct TokenRow {
    id: i64,
    expires_at: Option<i64>,
}

impl TryFrom<TokenRow> for RevokedToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self> {
        let expires_at = row
            .expires_at
            .map(|at| columns::time(at, "tokens.expires_at"))
            .transpose()?;
        Ok(Self {
            id: TokenId(columns::id(row.id, "tokens.id")?),
            expires_at,
        })
    }
}

#[derive(FromRow)]
struct SessionRow {
    user_id: i64,
    torrent_id: i64,
    peer_id: Vec<u8>,
    #[sqlx(flatten)]
    baseline: BaselineColumns,
    role: String,
    endpoint4: Option<Vec<u8>>,
    endpoint6: Option<Vec<u8>>,
    announced_at: i64,
}

impl TryFrom<SessionRow> for StoredSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self> {
        Ok(Self {
            key: SessionKey {
                user: UserId(columns::id(row.user_id, "sessions.user_id")?),
                torrent: TorrentId(columns::id(row.torrent_id, "sessions.torrent_id")?),
                peer_id: PeerId(columns::array(&row.peer_id, "sessions.peer_id")?),
            },
            baseline: row.baseline.try_into()?,
            role: Role::parse(&row.role)?,
            endpoint4: columns::maybe_array(row.endpoint4, "sessions.endpoint4")?,
            endpoint6: columns::maybe_array(row.endpoint6, "sessions.endpoint6")?,
            announced_at: columns::time(row.announced_at, "sessions.announced_at")?,
        })
    }
}
