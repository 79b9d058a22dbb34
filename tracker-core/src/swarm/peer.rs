//! One session in a swarm, packed. Its baseline isn't here: credit is the ledger's affair.

use super::torrent::Visitor;
use crate::accounting::Counters;
use crate::ids::{PeerId, UnixTime, UserId};
use crate::record::{Endpoint, Record, Role};
use crate::session::StoredSession;

/// One session: what everybody in its swarm looks at, and what only its own announces do. A swarm keeps the two apart,
/// so that to look through it for somebody, or for a reply's peers, reads a third of its memory.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) seat: Seat,
    pub(crate) rest: Rest,
}

/// Who it is, and where over IPv4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) user: UserId,
    /// The last announce over IPv4; 0: none.
    seen4: UnixTime,
    v4: [u8; 6],
    /// By which hash of a hybrid it last announced over IPv4.
    tag4: u8,
    role: PackedRole,
}

/// An IPv6 endpoint is kept apart, for the few that have one.
#[derive(Debug)]
pub(crate) struct Rest {
    v6: Option<Box<V6>>,
    pub(crate) peer_id: PeerId,
    /// A fold of the counters it last reported: whether they moved since, not by how much.
    reported: u32,
}

const _: () = assert!(size_of::<Seat>() == 16 && size_of::<Rest>() == 32);

/// A role, and whether there is an IPv6 endpoint too.
#[derive(Clone, Copy, Debug)]
struct PackedRole(u8);

const HAS_V6: u8 = 0b100;

/// Of a session that was restored: by which hash it announced isn't known.
const ANY_TAG: u8 = 0;

#[derive(Debug)]
struct V6 {
    endpoint: [u8; 18],
    tag: u8,
    seen: UnixTime,
}

/// A session where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerRef<'a> {
    pub(crate) seat: &'a Seat,
    pub(crate) rest: &'a Rest,
}

/// A session where it stands, to be changed.
#[derive(Debug)]
pub(crate) struct PeerMut<'a> {
    pub(crate) seat: &'a mut Seat,
    pub(crate) rest: &'a mut Rest,
}

impl PackedRole {
    fn new(role: Role) -> Self {
        Self(role as u8)
    }

    fn role(self) -> Role {
        match self.0 & !HAS_V6 {
            0 => Role::Leecher,
            1 => Role::Seeder,
            _ => Role::Partial,
        }
    }
}

impl Seat {
    pub(crate) fn role(&self) -> Role {
        self.role.role()
    }

    /// Only for the crowd, which keeps peers in their role's part.
    pub(super) fn set_role(&mut self, role: Role) {
        self.role = PackedRole(role as u8 | self.role.0 & HAS_V6);
    }

    pub(crate) fn v4(&self) -> Option<&[u8; 6]> {
        // Port 0 can't be announced, so it marks the absence.
        (self.v4[4..] != [0, 0]).then_some(&self.v4)
    }

    /// Its IPv4 endpoint, if it has no other.
    pub(crate) fn only_v4(&self) -> Option<&[u8; 6]> {
        self.v4().filter(|_| self.role.0 & HAS_V6 == 0)
    }
}

impl Peer {
    /// A session that hasn't been seen here.
    pub(crate) fn newcomer(user: UserId, peer_id: PeerId, role: Role) -> Self {
        Self {
            seat: Seat {
                user,
                seen4: UnixTime(0),
                v4: [0; 6],
                tag4: ANY_TAG,
                role: PackedRole::new(role),
            },
            rest: Rest {
                v6: None,
                peer_id,
                reported: 0,
            },
        }
    }

    /// A session as the database has it.
    pub(crate) fn restored(stored: &StoredSession) -> Self {
        let mut peer = Self::newcomer(stored.key.user, stored.key.peer_id, stored.role);
        let endpoint4 = stored.endpoint4.map(Endpoint::V4);
        let endpoint6 = stored.endpoint6.map(Endpoint::V6);
        for endpoint in endpoint4.into_iter().chain(endpoint6) {
            peer.as_mut()
                .seen_at(endpoint, ANY_TAG, stored.announced_at);
        }
        peer.as_mut().reports(stored.baseline.counters);
        peer
    }

    pub(crate) fn as_ref(&self) -> PeerRef<'_> {
        PeerRef {
            seat: &self.seat,
            rest: &self.rest,
        }
    }

    pub(crate) fn as_mut(&mut self) -> PeerMut<'_> {
        PeerMut {
            seat: &mut self.seat,
            rest: &mut self.rest,
        }
    }
}

impl PeerMut<'_> {
    pub(crate) fn as_ref(&self) -> PeerRef<'_> {
        PeerRef {
            seat: self.seat,
            rest: self.rest,
        }
    }

    /// Notes what it reports; whether that is something else than the last time.
    pub(crate) fn reports(&mut self, counters: Counters) -> bool {
        let fold = counters.uploaded.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ counters.downloaded.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        let fold = (fold >> 32) as u32;
        std::mem::replace(&mut self.rest.reported, fold) != fold
    }

    /// Notes an announce of which only the journal knows.
    pub(crate) fn replayed(&mut self, record: &Record) {
        self.seen_at(record.endpoint, ANY_TAG, record.at);
        self.reports(record.counters);
    }

    pub(crate) fn seen_at(&mut self, endpoint: Endpoint, tag: u8, at: UnixTime) {
        let (seat, rest) = (&mut *self.seat, &mut *self.rest);
        match endpoint {
            Endpoint::V4(compact) => (seat.v4, seat.tag4, seat.seen4) = (compact, tag, at),
            Endpoint::V6(endpoint) => {
                seat.role.0 |= HAS_V6;
                match &mut rest.v6 {
                    Some(v6) => (v6.endpoint, v6.tag, v6.seen) = (endpoint, tag, at),
                    None => {
                        rest.v6 = Some(Box::new(V6 {
                            endpoint,
                            tag,
                            seen: at,
                        }))
                    }
                }
            }
        }
    }

    /// Its address changes, and the time of its last answered announce doesn't.
    pub(crate) fn move_to(&mut self, endpoint: Endpoint) {
        match endpoint {
            Endpoint::V4(compact) => self.seat.v4 = compact,
            Endpoint::V6(endpoint) => {
                if let Some(v6) = &mut self.rest.v6 {
                    v6.endpoint = endpoint;
                }
            }
        }
    }

    /// Drops the endpoints that were last heard from before `oldest`; false when none is left.
    pub(crate) fn keep_since(&mut self, oldest: UnixTime) -> bool {
        if self.seat.seen4 < oldest {
            (self.seat.v4, self.seat.seen4) = ([0; 6], UnixTime(0));
        }
        if self.rest.v6.take_if(|v6| v6.seen < oldest).is_some() {
            self.seat.role.0 &= !HAS_V6;
        }
        self.seat.v4().is_some() || self.rest.v6.is_some()
    }
}

impl<'a> PeerRef<'a> {
    /// Whether it comes sooner than `min_interval_secs` after the last time. An IPv4 and an IPv6 copy of an announce
    /// (BEP 7), and one for each hash of a hybrid (BEP 52), are no repetitions of each other. A clock that was set back
    /// makes nobody early.
    pub(crate) fn is_early(self, visitor: &Visitor, min_interval_secs: u32) -> bool {
        let last = match visitor.endpoint {
            Endpoint::V4(_) => self.seat.v4().map(|_| (self.seat.seen4, self.seat.tag4)),
            Endpoint::V6(_) => self.rest.v6.as_ref().map(|v6| (v6.seen, v6.tag)),
        };
        last.is_some_and(|(seen, tag)| {
            (tag == ANY_TAG || tag == visitor.hash_tag)
                && seen <= visitor.now
                && visitor.now.secs_since(seen) < min_interval_secs
        })
    }

    /// Its last announce.
    pub(crate) fn last_seen(self) -> UnixTime {
        let seen6 = self.rest.v6.as_ref().map_or(UnixTime(0), |v6| v6.seen);
        self.seat.seen4.max(seen6)
    }

    pub(crate) fn v6(self) -> Option<&'a [u8; 18]> {
        self.rest.v6.as_ref().map(|v6| &v6.endpoint)
    }

    pub(crate) fn is_at(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::V4(compact) => self.seat.v4 == compact,
            Endpoint::V6(compact) => self.v6() == Some(&compact),
        }
    }
}
