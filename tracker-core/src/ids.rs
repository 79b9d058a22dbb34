//! The nouns that everything else is keyed by. Parsed once, at the edge; inside, they are right.

use std::fmt;

/// A member's row number. 32 bits: it is stored once a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub u32);

impl UserId {
    /// Row numbers are positive 32-bit integers: the upper half is free for those who aren't members.
    const NOBODY: u32 = 1 << 31;

    /// In a swarm's books, a client that came without a key (`udp_keyless`). In no database.
    pub(crate) fn nobody(number: u32) -> Self {
        Self(Self::NOBODY | number)
    }

    /// Whether it is a member's.
    pub fn is_member(self) -> bool {
        self.0 & Self::NOBODY == 0
    }
}

/// A registered torrent's row number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TorrentId(pub u32);

/// A signed token's row number: what a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// Seconds since 1970, UTC. Good until 2106, and half the size of what a database keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixTime(pub u32);

impl UnixTime {
    /// The wall clock. Only the outermost code calls this; inner code is told the time.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
    }

    /// Seconds from `earlier` to `self`; 0 when the clock went backwards.
    pub fn secs_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What names a swarm: SHA-1 of the `info` bytes (BEP 3), or the first 20 bytes of their SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHash(pub [u8; 20]);

/// What a client calls itself in one swarm, for one run of the client (BEP 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `-TR3000-` and the like, with anything unprintable escaped.
impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The text isn't 40 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an info hash is 40 hex digits")]
pub struct NotAnInfoHash;

impl std::str::FromStr for InfoHash {
    type Err = NotAnInfoHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 20];
        hex::decode_to_slice(text, &mut hash).map_err(|_| NotAnInfoHash)?;
        Ok(Self(hash))
    }
}
