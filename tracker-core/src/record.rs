//! What an announce leaves behind for the ledger: the hot path writes it, the persister reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::accounting::Counters;
use crate::ids::{PeerId, TorrentId, UnixTime, UserId};

/// The `event` of an announce (BEP 3, BEP 21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    /// A regular announce.
    #[default]
    None,
    /// The session begins.
    Started,
    /// The download has just finished.
    Completed,
    /// The session ends.
    Stopped,
    /// A partial seed (BEP 21): has what it wants of the torrent, and goes on serving it.
    Paused,
}

impl Event {
    /// Every event, in the order of `as usize`.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Started,
        Self::Completed,
        Self::Stopped,
        Self::Paused,
    ];

    /// The session has no next announce that would carry its counters, or its news.
    pub fn is_last_word(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed)
    }

    /// Answered only once its record would survive a crash.
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Started | Self::Stopped | Self::Completed)
    }

    /// As it is written in a query, a metric and a log line; `none` for a regular announce.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }
}

/// What a peer is to its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Wants pieces.
    Leecher,
    /// Has every piece.
    Seeder,
    /// Wants nothing, and hasn't everything (BEP 21).
    Partial,
}

impl Role {
    /// Whether other peers' pieces are of use to it.
    pub fn wants_pieces(self) -> bool {
        self == Self::Leecher
    }
}

/// Where a peer can be reached, in one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Four bytes of address, two of port: an entry of `peers` (BEP 23).
    V4([u8; 6]),
    /// Sixteen bytes of address, two of port: an entry of `peers6` (BEP 7).
    V6([u8; 18]),
}

impl Endpoint {
    /// An IPv4 address inside an IPv6 one counts as IPv4.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let mut compact = [0; 6];
                compact[..4].copy_from_slice(&ip.octets());
                compact[4..].copy_from_slice(&port.to_be_bytes());
                Self::V4(compact)
            }
            IpAddr::V6(ip) => {
                let mut compact = [0; 18];
                compact[..16].copy_from_slice(&ip.octets());
                compact[16..].copy_from_slice(&port.to_be_bytes());
                Self::V6(compact)
            }
        }
    }

    /// The address without the port.
    pub fn ip(&self) -> IpAddr {
        match self {
            Self::V4([a, b, c, d, _, _]) => Ipv4Addr::new(*a, *b, *c, *d).into(),
            Self::V6(compact) => {
                let mut octets = [0; 16];
                octets.copy_from_slice(&compact[..16]);
                Ipv6Addr::from(octets).into()
            }
        }
    }
}

/// A session's name: invariant 1 of the accounts is kept per such triple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Whose session.
    pub user: UserId,
    /// In which swarm.
    pub torrent: TorrentId,
    /// Which run of which client.
    pub peer_id: PeerId,
}

/// One accepted announce of a registered torrent: what the client said, and nothing reckoned from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose, where, which.
    pub session: SessionKey,
    /// As the client sent them.
    pub counters: Counters,
    /// Bytes the client still wants.
    pub left: u64,
    /// What it is to the swarm from now on.
    pub role: Role,
    /// Whether it is in the swarm from now on: not after `stopped`, and not when its member has too many clients there.
    pub in_swarm: bool,
    /// Why it announced.
    pub event: Event,
    /// When it was answered.
    pub at: UnixTime,
    /// Where from, with the port it listens on.
    pub endpoint: Endpoint,
}
