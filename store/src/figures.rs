//! Figures of the whole site, counted when they are asked for: each is one pass over members, torrents, or the sessions
//! that are in a swarm.

use tracker_core::ids::UnixTime;
use tracker_core::record::Role;
use tracker_core::registry::{MemberStatus, TorrentStatus};

use crate::Store;
use crate::changes::ChangeId;
use crate::columns::{self, COUNT_MAX, Word};
use crate::error::Result;
use crate::store::reading;

/// How the site is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Members that may announce.
    pub members_active: u64,
    /// Members that may not.
    pub members_disabled: u64,
    /// Bytes of all members together. They stop at 8 EiB.
    pub uploaded: u64,
    /// Bytes of all members together.
    pub downloaded: u64,
    /// Torrents that may be announced.
    pub torrents_open: u64,
    /// Torrents that staff haven't looked at.
    pub torrents_pending: u64,
    /// Torrents that may not be announced.
    pub torrents_closed: u64,
    /// Sessions in their swarms that have everything.
    pub seeders: u64,
    /// Sessions in their swarms that want pieces.
    pub leechers: u64,
    /// Sessions in their swarms that have some and want no more.
    pub partial: u64,
    /// Sessions in their swarms that announced lately.
    pub seen: u64,
    /// What the trackers were told last, and when.
    pub newest_change: Option<(ChangeId, UnixTime)>,
}

/// What was shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityFigures {
    /// Members that may not announce.
    pub disabled_members: u64,
    /// Announce tokens that open nothing any more, and aren't forgotten yet.
    pub revoked_tokens: u64,
    /// Logins that were ended before their time, and aren't forgotten yet.
    pub revoked_logins: u64,
    /// Announces that couldn't be applied, and wait for somebody to look at them.
    pub set_aside: u64,
}

/// In two halves each, as the sum of two large accounts may have more than 64 bits.
const MEMBERS: &str = "
    select status, count(*),
        cast(sum(uploaded / 4294967296) as bigint), cast(sum(uploaded % 4294967296) as bigint),
        cast(sum(downloaded / 4294967296) as bigint), cast(sum(downloaded % 4294967296) as bigint)
    from users
    group by status";

const TORRENTS: &str = "
    select status, count(*)
    from torrents
    where deleted_at is null
    group by status";

const SESSIONS: &str = "
    select role, count(*), count(case when announced_at >= $1 then 1 end)
    from sessions
    where active
    group by role";

const NEWEST_CHANGE: &str = "
    select id, created_at
    from changes
    order by id desc
    limit 1";

const SECURITY: &str = "
    select
        (select count(*) from users where status <> 'active'),
        (select count(*) from tokens where revoked_at is not null),
        (select count(*) from logins where revoked_at is not null),
        (select count(*) from set_aside)";

impl Store {
    /// How the site is. `since`: from when on a session counts as seen.
    pub async fn figures(&self, since: UnixTime) -> Result<Figures> {
        let members: Vec<(String, i64, i64, i64, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(MEMBERS).fetch_all(pool).await
        })?;
        let torrents: Vec<(String, i64)> = reading!(self, |pool| {
            sqlx::query_as(TORRENTS).fetch_all(pool).await
        })?;
        let sessions: Vec<(String, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(SESSIONS)
                .bind(i64::from(since.0))
                .fetch_all(pool)
                .await
        })?;
        let newest: Option<(i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(NEWEST_CHANGE).fetch_optional(pool).await
        })?;
        let mut figures = Figures::default();
        for (status, members, up_high, up_low, down_high, down_low) in members {
            let members = columns::count(members, "users")?;
            match MemberStatus::parse(&status)? {
                MemberStatus::Active => figures.members_active = members,
                MemberStatus::Disabled => figures.members_disabled = members,
            }
            figures.uploaded = add(figures.uploaded, up_high, up_low);
            figures.downloaded = add(figures.downloaded, down_high, down_low);
        }
        for (status, torrents) in torrents {
            let torrents = columns::count(torrents, "torrents")?;
            match TorrentStatus::parse(&status)? {
                TorrentStatus::Open => figures.torrents_open = torrents,
                TorrentStatus::Pending => figures.torrents_pending = torrents,
                TorrentStatus::Closed => figures.torrents_closed = torrents,
            }
        }
        for (role, sessions, seen) in sessions {
            let sessions = columns::count(sessions, "sessions")?;
            match Role::parse(&role)? {
                Role::Seeder => figures.seeders = sessions,
                Role::Leecher => figures.leechers = sessions,
                Role::Partial => figures.partial = sessions,
            }
            figures.seen += columns::count(seen, "sessions")?;
        }
        if let Some((id, at)) = newest {
            let at = columns::time(at, "changes.created_at")?;
            figures.newest_change = Some((ChangeId(id), at));
        }
        Ok(figures)
    }

    /// What was shut out.
    pub async fn security_figures(&self) -> Result<SecurityFigures> {
        let (members, tokens, logins, set_aside): (i64, i64, i64, i64) =
            reading!(self, |pool| sqlx::query_as(SECURITY).fetch_one(pool).await)?;
        Ok(SecurityFigures {
            disabled_members: columns::count(members, "users")?,
            revoked_tokens: columns::count(tokens, "tokens")?,
            revoked_logins: columns::count(logins, "logins")?,
            set_aside: columns::count(set_aside, "set_aside")?,
        })
    }
}

fn add(sum: u64, high: i64, low: i64) -> u64 {
    let more = (i128::from(high) << 32) + i128::from(low);
    let sum = i128::from(sum) + more;
    u64::try_from(sum).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}
