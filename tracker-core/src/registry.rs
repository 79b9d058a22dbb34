//! What the site knows and the tracker must know too: members, their keys, torrents. Loaded from the database at the
//! start, and again row by row as `changes` names them. Each type is the whole state of one row, so that applying it
//! twice does no harm.

use crate::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};

/// Whether a member may announce at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStatus {
    /// Yes.
    Active,
    /// No: banned, or closed by its owner.
    Disabled,
}

/// What a member has earned: the higher, the more they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserClass {
    /// Everybody, to begin with.
    #[default]
    Newbie,
    /// Has been here for a while, and shares.
    Member,
    /// Shares well.
    Trusted,
    /// Keeps the site alive.
    Elite,
}

impl UserClass {
    /// Every class, lowest first.
    pub const ALL: [Self; 4] = [Self::Newbie, Self::Member, Self::Trusted, Self::Elite];

    /// As it is written in the database, in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Newbie => "newbie",
            Self::Member => "member",
            Self::Trusted => "trusted",
            Self::Elite => "elite",
        }
    }
}

/// Whether a member may download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeechRights {
    /// Yes.
    #[default]
    Free,
    /// Yes, and every announce warns them that their ratio is too low.
    Warned,
    /// No: they may seed what they have.
    Suspended,
}

/// A member, as far as an announce needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Row number.
    pub id: UserId,
    /// May they announce?
    pub status: MemberStatus,
    /// What have they earned?
    pub class: UserClass,
    /// May they download, and do they hear about it?
    pub leech: LeechRights,
    /// The 32-digit hex key of a member brought over from another tracker.
    pub passkey: Option<[u8; 16]>,
}

/// What may be done with a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorrentStatus {
    /// Everything.
    Open,
    /// Awaits moderation: counters are taken, peers aren't given.
    Pending,
    /// Taken down: announces are refused.
    Closed,
}

/// A torrent, as far as an announce needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredTorrent {
    /// Row number.
    pub id: TorrentId,
    /// The hash that clients announce: v1's, or for a v2-only torrent the shortened SHA-256.
    pub info_hash: InfoHash,
    /// A hybrid's other hash (BEP 52): leads to the same swarm.
    pub info_hash_v2: Option<InfoHash>,
    /// May it be announced?
    pub status: TorrentStatus,
    /// Snatches so far: `downloaded` in replies.
    pub completed: u32,
}

/// A signed token that no longer opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Which.
    pub id: TokenId,
    /// After this it is refused as expired anyway, and needn't be remembered.
    pub expires_at: Option<UnixTime>,
}
