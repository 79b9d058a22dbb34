//! Sessions, as staff look at a member's: what each client last reported.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use sqlx::FromRow;
use tracker_core::accounting::{Baseline, Counters, SuspectKind};
use tracker_core::ids::{InfoHash, PeerId, UnixTime, UserId};
use tracker_core::record::Role;

use crate::Store;
use crate::columns::{self, BaselineColumns, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::reading;

/// One client of a member's, in one swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The list goes by when it announced, and where that is the same, by torrent and peer id.
    pub place: SessionPlace,
    /// The torrent's.
    pub info_hash: Option<InfoHash>,
    /// What it is to its swarm.
    pub role: Role,
    /// Still in its swarm?
    pub active: bool,
    /// As last reported.
    pub reported: Counters,
    /// What the member was credited with.
    pub credited: Counters,
    /// What became of what it last reported.
    pub decision: Decision,
    /// As last reported.
    pub bytes_left: u64,
    /// Where it listens on IPv4.
    pub endpoint4: Option<SocketAddr>,
    /// Where it listens on IPv6.
    pub endpoint6: Option<SocketAddr>,
    /// Its first announce.
    pub started_at: UnixTime,
    /// Its last.
    pub announced_at: UnixTime,
}

/// What became of an announce's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Their growth was counted.
    Counted,
    /// They fell without `started`: a stale copy, or a restart that the next announce confirms. Nothing was counted.
    Fell(Counters),
    /// They fell and came again unchanged: the next growth above them is counted.
    FellTwice(Counters),
}

/// Where a session stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPlace {
    /// Unix seconds.
    pub announced_at: i64,
    /// The torrent's row number.
    pub torrent: i64,
    /// What the client calls itself.
    pub peer_id: PeerId,
}

impl SessionPlace {
    /// Before all others.
    pub const FIRST: Self = Self {
        announced_at: i64::MAX,
        torrent: i64::MAX,
        peer_id: PeerId([0xff; 20]),
    };
}

#[derive(FromRow)]
struct SessionRow {
    torrent_id: i64,
    info_hash: Option<Vec<u8>>,
    peer_id: Vec<u8>,
    role: String,
    active: bool,
    #[sqlx(flatten)]
    baseline: BaselineColumns,
    credited_uploaded: i64,
    credited_downloaded: i64,
    bytes_left: i64,
    endpoint4: Option<Vec<u8>>,
    endpoint6: Option<Vec<u8>>,
    started_at: i64,
    announced_at: i64,
}

/// A member's sessions are a stretch of the primary key, and few enough to be sorted. There is no index on announced_at,
/// which changes with every announce.
const LIST: &str = "
    select sessions.torrent_id, torrents.info_hash, sessions.peer_id, sessions.role, sessions.active, sessions.uploaded,
        sessions.downloaded, sessions.suspect, sessions.suspect_uploaded, sessions.suspect_downloaded, sessions.credited_uploaded, sessions.credited_downloaded, sessions.bytes_left,
        sessions.endpoint4, sessions.endpoint6, sessions.started_at, sessions.announced_at
    from sessions
    left join torrents on torrents.id = sessions.torrent_id
    where sessions.user_id = $1
        and (sessions.announced_at, sessions.torrent_id, sessions.peer_id) < ($2, $3, $4)
    order by sessions.announced_at desc, sessions.torrent_id desc, sessions.peer_id desc
    limit $5";

impl Store {
    /// A member's sessions, of which the one that announced last comes first: those after a place.
    pub async fn sessions(
        &self,
        user: UserId,
        after: SessionPlace,
        limit: u32,
    ) -> Result<Vec<Session>> {
        let rows: Vec<SessionRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .bind(after.announced_at)
                .bind(after.torrent)
                .bind(after.peer_id.0.as_slice())
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Session::try_from).collect()
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self> {
        let count = columns::count;
        let baseline = Baseline::try_from(row.baseline)?;
        let info_hash = columns::maybe_array(row.info_hash, "torrents.info_hash")?;
        let endpoint4 = columns::maybe_array(row.endpoint4, "sessions.endpoint4")?;
        let endpoint6 = columns::maybe_array(row.endpoint6, "sessions.endpoint6")?;
        Ok(Self {
            place: SessionPlace {
                announced_at: row.announced_at,
                torrent: row.torrent_id,
                peer_id: PeerId(columns::array(&row.peer_id, "sessions.peer_id")?),
            },
            info_hash: info_hash.map(InfoHash),
            role: Role::parse(&row.role)?,
            active: row.active,
            reported: baseline.counters,
            decision: match baseline.suspect {
                Some(fallen) if fallen.kind == SuspectKind::Fell => Decision::Fell(fallen.counters),
                Some(fallen) if fallen.kind == SuspectKind::Repeated => {
                    Decision::FellTwice(fallen.counters)
                }
                _ => Decision::Counted,
            },
            credited: Counters {
                uploaded: count(row.credited_uploaded, "sessions.credited_uploaded")?,
                downloaded: count(row.credited_downloaded, "sessions.credited_downloaded")?,
            },
            bytes_left: count(row.bytes_left, "sessions.bytes_left")?,
            endpoint4: endpoint4.map(|[a, b, c, d, high, low]| {
                let port = u16::from_be_bytes([high, low]);
                (Ipv4Addr::new(a, b, c, d), port).into()
            }),
            endpoint6: endpoint6.map(endpoint),
            started_at: columns::time(row.started_at, "sessions.started_at")?,
            announced_at: columns::time(row.announced_at, "sessions.announced_at")?,
        })
    }
}

fn endpoint(compact: [u8; 18]) -> SocketAddr {
    let mut address = [0; 16];
    address.copy_from_slice(&compact[..16]);
    let port = u16::from_be_bytes([compact[16], compact[17]]);
    (Ipv6Addr::from(address), port).into()
}
