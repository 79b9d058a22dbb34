//! One session in a swarm, packed. Its baseline isn't here: credit is the ledger's affair.

use super::torrent::Visitor;
use crate::accounting::Counters;
use crate::ids::{PeerId, UnixTime, UserId};
use crate::record::{Endpoint, Record, Role};
use crate::session::StoredSession;

/// 48 bytes for an IPv4 peer; an IPv6 endpoint is kept apart, for the few that have one.
#[derive(Debug)]
pub(crate) struct Peer {
    v6: Option<Box<V6>>,
    pub(crate) user: UserId,
    /// The last announce over IPv4; 0: none.
    seen4: UnixTime,
    pub(crate) peer_id: PeerId,
    v4: [u8; 6],
    pub(crate) role: Role,
    /// By which hash of a hybrid it last announced over IPv4.
    tag4: u8,
    /// A fold of the counters it last reported: whether they moved since, not by how much.
    reported: u32,
}

/// Of a session that was restored: by which hash it announced isn't known.
const ANY_TAG: u8 = 0;

const _: () = assert!(size_of::<Peer>() == 48);

#[derive(Debug)]
struct V6 {
    endpoint: [u8; 18],
    tag: u8,
    seen: UnixTime,
}

impl Peer {
    /// A session that hasn't been seen here.
    pub(crate) fn newcomer(user: UserId, peer_id: PeerId, role: Role) -> Self {
        Self {
            v6: None,
            user,
            seen4: UnixTime(0),
            peer_id,
            v4: [0; 6],
            role,
            tag4: ANY_TAG,
            reported: 0,
        }
    }

    /// A session as the database has it.
    pub(crate) fn restored(stored: &StoredSession) -> Self {
        let mut peer = Self::newcomer(stored.key.user, stored.key.peer_id, stored.role);
        let endpoint4 = stored.endpoint4.map(Endpoint::V4);
        let endpoint6 = stored.endpoint6.map(Endpoint::V6);
        for endpoint in endpoint4.into_iter().chain(endpoint6) {
            peer.seen_at(endpoint, ANY_TAG, stored.announced_at);
        }
        peer.reports(stored.baseline.counters);
        peer
    }

    /// Notes what it reports; whether that is something else than the last time.
    pub(crate) fn reports(&mut self, counters: Counters) -> bool {
        let fold = counters.uploaded.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ counters.downloaded.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        let fold = (fold >> 32) as u32;
        std::mem::replace(&mut self.reported, fold) != fold
    }

    /// Notes an announce of which only the journal knows.
    pub(crate) fn replayed(&mut self, record: &Record) {
        self.seen_at(record.endpoint, ANY_TAG, record.at);
        self.reports(record.counters);
    }

    pub(crate) fn is(&self, user: UserId, peer_id: PeerId) -> bool {
        self.user == user && self.peer_id == peer_id
    }

    pub(crate) fn seen_at(&mut self, endpoint: Endpoint, tag: u8, at: UnixTime) {
        match endpoint {
            Endpoint::V4(compact) => (self.v4, self.tag4, self.seen4) = (compact, tag, at),
            Endpoint::V6(endpoint) => match &mut self.v6 {
                Some(v6) => (v6.endpoint, v6.tag, v6.seen) = (endpoint, tag, at),
                None => {
                    self.v6 = Some(Box::new(V6 {
                        endpoint,
                        tag,
                        seen: at,
                    }))
                }
            },
        }
    }

    /// Its address changes, and the time of its last answered announce doesn't.
    pub(crate) fn move_to(&mut self, endpoint: Endpoint) {
        match endpoint {
            Endpoint::V4(compact) => self.v4 = compact,
            Endpoint::V6(endpoint) => {
                if let Some(v6) = &mut self.v6 {
                    v6.endpoint = endpoint;
                }
            }
        }
    }

    /// Whether it comes sooner than `min_interval_secs` after the last time. An IPv4 and an IPv6 copy of an announce
    /// (BEP 7), and one for each hash of a hybrid (BEP 52), are no repetitions of each other. A clock that was set back
    /// makes nobody early.
    pub(crate) fn is_early(&self, visitor: &Visitor, min_interval_secs: u32) -> bool {
        let last = match visitor.endpoint {
            Endpoint::V4(_) => self.v4().map(|_| (self.seen4, self.tag4)),
            Endpoint::V6(_) => self.v6.as_ref().map(|v6| (v6.seen, v6.tag)),
        };
        last.is_some_and(|(seen, tag)| {
            (tag == ANY_TAG || tag == visitor.hash_tag)
                && seen <= visitor.now
                && visitor.now.secs_since(seen) < min_interval_secs
        })
    }

    /// Its last announce.
    pub(crate) fn last_seen(&self) -> UnixTime {
        let seen6 = self.v6.as_ref().map_or(UnixTime(0), |v6| v6.seen);
        self.seen4.max(seen6)
    }

    /// Drops the endpoints that were last heard from before `oldest`; false when none is left.
    pub(crate) fn keep_since(&mut self, oldest: UnixTime) -> bool {
        if self.seen4 < oldest {
            (self.v4, self.seen4) = ([0; 6], UnixTime(0));
        }
        self.v6.take_if(|v6| v6.seen < oldest);
        self.v4().is_some() || self.v6.is_some()
    }

    pub(crate) fn v4(&self) -> Option<&[u8; 6]> {
        // Port 0 can't be announced, so it marks the absence.
        (self.v4[4..] != [0, 0]).then_some(&self.v4)
    }

    /// Its IPv4 endpoint, if it has no other.
    pub(crate) fn only_v4(&self) -> Option<&[u8; 6]> {
        self.v4().filter(|_| self.v6.is_none())
    }

    pub(crate) fn v6(&self) -> Option<&[u8; 18]> {
        self.v6.as_ref().map(|v6| &v6.endpoint)
    }

    pub(crate) fn is_at(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::V4(compact) => self.v4 == compact,
            Endpoint::V6(compact) => self.v6() == Some(&compact),
        }
    }
}
