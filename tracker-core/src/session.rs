//! A session as the database keeps it: what a restart loads, and what a batch hands back.

use crate::accounting::Baseline;
use crate::ids::UnixTime;
use crate::record::{Role, SessionKey};

/// One row of `sessions` that is still in its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Whose, where, which.
    pub key: SessionKey,
    /// Where its counted growth ends.
    pub baseline: Baseline,
    /// What it was to the swarm.
    pub role: Role,
    /// Its compact IPv4 endpoint (BEP 23), if it announced one.
    pub endpoint4: Option<[u8; 6]>,
    /// Its compact IPv6 endpoint (BEP 7), if it announced one.
    pub endpoint6: Option<[u8; 18]>,
    /// Its last announce.
    pub announced_at: UnixTime,
}
