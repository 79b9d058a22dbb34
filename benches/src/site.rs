//! A site in memory: torrents, members with passkeys, and sessions that the tracker knows.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{InfoHash, PeerId, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};
use tracker_core::record::{Endpoint, Event, Role, SessionKey};
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::session::StoredSession;
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

use crate::query::Announce;
use crate::traffic::Ask;

/// When all of it happens.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

pub(crate) const PORT: u16 = 51413;

/// A tracker, and whom it knows.
#[derive(Debug)]
pub struct Site {
    /// Filled as after a restart: every session's baseline is settled.
    pub tracker: Arc<Tracker>,
    /// All sessions, in random order.
    pub sessions: Vec<Session>,
    token_key: TokenKey,
}

/// A member's client in a swarm.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Whose.
    pub user: UserId,
    /// In which swarm.
    pub torrent: TorrentId,
    /// Leecher or seeder.
    pub role: Role,
}

impl Site {
    /// One torrent for each number of `peers`, half of them seeders. The members take turns; there should be as many
    /// as the largest swarm has peers, or some would be in it twice.
    pub fn new(peers: &[u32], members: u32) -> Self {
        let token_key = TokenKey::from_bytes([7; 32]);
        // A round of the workload announces again at once, and shall get peers, not a warning.
        let settings = Settings {
            min_interval_secs: 0,
            ..Settings::default()
        };
        let mut site = Self {
            tracker: Arc::new(Tracker::new(token_key.clone(), settings)),
            sessions: sessions(peers, members),
            token_key,
        };
        (1..=members).for_each(|id| site.put_member(UserId(id)));
        (1..=peers.len() as u32).for_each(|id| site.put_torrent(TorrentId(id)));
        let mut rng = SmallRng::seed_from_u64(1);
        site.sessions.shuffle(&mut rng);
        for session in &site.sessions {
            assert!(
                site.tracker
                    .swarms
                    .restore(&session.stored(), usize::MAX, &mut rng)
            );
        }
        site
    }

    /// A single swarm, each peer another member. `strangers` more members are in none.
    pub fn one_swarm(peers: u32, strangers: u32) -> Self {
        Self::new(&[peers], peers + strangers)
    }

    /// About `peers` peers over `torrents` torrents, popular ones and others: the n-th has its share of n^-0.8.
    pub fn zipf(torrents: u32, peers: u32) -> Self {
        let swarms = zipf(torrents, peers);
        let largest = swarms.iter().copied().max().unwrap_or_default();
        Self::new(&swarms, largest.max(peers / 4))
    }

    /// Members who are in no swarm, if there are any beyond `peers`.
    pub fn strangers(&self, peers: u32) -> impl Iterator<Item = UserId> {
        (peers + 1..=self.tracker.roster.len() as u32).map(UserId)
    }

    /// A session's announce, with its member's passkey, as qBittorrent would send it.
    pub fn ask(&self, session: &Session, event: Event, numwant: u32) -> Ask {
        Ask {
            key: hex(passkey(session.user)),
            query: session.announce(event, numwant).qbittorrent(),
            from: address(session.user),
        }
    }

    /// The same, with a signed token of the member in place of the passkey.
    pub fn ask_with_token(&self, session: &Session, event: Event, numwant: u32) -> Ask {
        let token = Token {
            id: TokenId(session.user.0),
            user: session.user,
            torrent: None,
            expires_at: Some(UnixTime(NOW.0 + 1)),
        };
        Ask {
            key: self.token_key.sign(&token),
            ..self.ask(session, event, numwant)
        }
    }

    /// Registers a member.
    pub(crate) fn put_member(&self, id: UserId) {
        self.tracker.roster.put_member(Member {
            id,
            status: MemberStatus::Active,
            class: UserClass::Newbie,
            leech: LeechRights::Free,
            passkey: Some(passkey(id)),
        });
    }

    /// Registers a torrent.
    pub(crate) fn put_torrent(&self, id: TorrentId) {
        self.tracker.swarms.put_torrent(&RegisteredTorrent {
            id,
            info_hash: info_hash(id),
            info_hash_v2: None,
            status: TorrentStatus::Open,
            completed: 1_234,
        });
    }
}

impl Session {
    /// What its client says.
    pub fn announce(&self, event: Event, numwant: u32) -> Announce {
        Announce {
            info_hash: info_hash(self.torrent),
            peer_id: peer_id(self.user),
            port: PORT,
            left: if self.role == Role::Leecher {
                734_003_200
            } else {
                0
            },
            event,
            numwant,
        }
    }

    /// As the database would have it.
    pub(crate) fn stored(&self) -> StoredSession {
        let endpoint4 = match Endpoint::new(address(self.user), PORT) {
            Endpoint::V4(compact) => Some(compact),
            Endpoint::V6(_) => None,
        };
        StoredSession {
            key: SessionKey {
                user: self.user,
                torrent: self.torrent,
                peer_id: peer_id(self.user),
            },
            baseline: Baseline::starting_at(Counters::default()),
            role: self.role,
            endpoint4,
            endpoint6: None,
            announced_at: UnixTime(NOW.0 - 1800),
        }
    }
}

/// About `peers` peers, dealt out to torrents: the n-th has its share of n^-0.8.
pub(crate) fn zipf(torrents: u32, peers: u32) -> Vec<u32> {
    let weight = |rank: u32| f64::from(rank).powf(-0.8);
    let total: f64 = (1..=torrents).map(weight).sum();
    let share = |rank| (f64::from(peers) * weight(rank) / total).round().max(1.0) as u32;
    (1..=torrents).map(share).collect()
}

/// So many peers for each torrent, half of them seeders; the members take turns.
pub(crate) fn sessions(peers: &[u32], members: u32) -> Vec<Session> {
    let mut sessions = Vec::new();
    let mut users = (1..=members).map(UserId).cycle();
    for (torrent, &peers) in (1..).map(TorrentId).zip(peers) {
        let seats = (0..peers).zip(users.by_ref());
        sessions.extend(seats.map(|(seat, user)| Session {
            user,
            torrent,
            role: [Role::Seeder, Role::Leecher][seat as usize % 2],
        }));
    }
    sessions
}

/// A torrent's, as random as a real one.
pub fn info_hash(torrent: TorrentId) -> InfoHash {
    InfoHash(scatter(0x1f0, torrent.0))
}

pub(crate) fn address(user: UserId) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + user.0).into()
}

/// libtorrent ends its ids in characters that stand in a URL as they are.
pub(crate) fn peer_id(user: UserId) -> PeerId {
    const URL_SAFE: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.";
    let mut id = scatter(0x2ee, user.0).map(|byte| URL_SAFE[usize::from(byte % 64)]);
    id[..8].copy_from_slice(b"-qB4650-");
    PeerId(id)
}

pub(crate) fn passkey(user: UserId) -> [u8; 16] {
    scatter(0x3a5, user.0)
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Bytes that look random, the same for the same number.
pub(crate) fn scatter<const N: usize>(kind: u64, number: u32) -> [u8; N] {
    SmallRng::seed_from_u64(kind << 32 | u64::from(number)).random()
}
