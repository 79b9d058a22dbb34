//! A site's clients, and what they would send: announces of sessions that are known, in no order of their keys, and of
//! new ones. Seeded: the same crowd says the same.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::key::TokenKey;
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey};
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::session::StoredSession;
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

use crate::site::{address, info_hash, passkey, peer_id};

/// What a leecher still wants.
const LEFT: u64 = 734_003_200;

/// How large a site.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Members, numbered from 1.
    pub users: u32,
    /// Torrents, numbered from 1; popular ones first, the n-th with its share of n^-0.8.
    pub torrents: u32,
    /// Sessions that there are at the beginning.
    pub sessions: u32,
}

/// What share of the announces is what.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Of sessions that nobody has heard of.
    pub new: f64,
    /// With `completed`.
    pub completed: f64,
}

/// Every client of the site.
#[derive(Debug)]
pub struct Crowd {
    /// How large it was at the beginning.
    pub extent: Extent,
    /// Growth that its records have brought so far: what the members should have been credited with.
    pub grown: Counters,
    now: UnixTime,
    clients: Vec<Client>,
    /// How much of the traffic the torrents up to each one have.
    shares: Vec<f64>,
    next: usize,
    rng: SmallRng,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    user: UserId,
    torrent: TorrentId,
    counters: Counters,
    left: u64,
}

impl Crowd {
    /// The site at a moment.
    pub fn new(extent: Extent, now: UnixTime) -> Self {
        let mut total = 0.0;
        let shares = (1..=extent.torrents)
            .map(|rank| {
                total += f64::from(rank).powf(-0.8);
                total
            })
            .collect();
        let mut crowd = Self {
            extent,
            grown: Counters::default(),
            now,
            clients: Vec::new(),
            shares,
            next: 0,
            rng: SmallRng::seed_from_u64(3),
        };
        for _ in 0..extent.sessions {
            let client = crowd.newcomer();
            crowd.clients.push(Client {
                counters: Counters {
                    uploaded: 7_340_032_000,
                    downloaded: 1_468_006_400,
                },
                ..client
            });
        }
        crowd
    }

    /// A tracker that knows the site as after a start.
    pub fn tracker(&self) -> Tracker {
        let tracker = Tracker::new(TokenKey::from_bytes([7; 32]), Settings::default());
        (1..=self.extent.users).for_each(|id| tracker.roster.put_member(member(UserId(id))));
        (1..=self.extent.torrents)
            .for_each(|id| tracker.swarms.put_torrent(&torrent(TorrentId(id))));
        let max_clients = tracker.settings.load().max_peers_per_torrent_per_user;
        let mut rng = SmallRng::seed_from_u64(4);
        for session in self.sessions() {
            tracker.swarms.restore(&session, max_clients, &mut rng);
        }
        tracker
    }

    /// The sessions, as a database would have them.
    pub fn sessions(&self) -> impl Iterator<Item = StoredSession> {
        (0..self.clients.len()).map(|n| {
            let client = self.clients[n];
            let endpoint4 = match endpoint(client.user) {
                Endpoint::V4(compact) => Some(compact),
                Endpoint::V6(_) => None,
            };
            StoredSession {
                key: client.key(n),
                baseline: Baseline::starting_at(client.counters),
                role: client.role(),
                endpoint4,
                endpoint6: None,
                // Some time in the last announce interval.
                announced_at: UnixTime(self.now.0 - n as u32 % 1800),
            }
        })
    }

    /// The next announce.
    pub fn announce(&mut self, mix: Mix) -> Record {
        if self.rng.random_bool(mix.new) {
            let client = self.newcomer();
            self.clients.push(client);
            return self.record(self.clients.len() - 1, Event::Started);
        }
        self.announce_known(mix.completed)
    }

    /// The next announce of a session that is known, each in its turn. They stand in no order.
    pub fn announce_known(&mut self, completed: f64) -> Record {
        let n = self.next;
        self.next = (n + 1) % self.clients.len();
        let growth = Counters {
            uploaded: self.rng.random_range(1..100_000_000),
            downloaded: match self.clients[n].role() {
                Role::Seeder => 0,
                _ => self.rng.random_range(1..100_000_000),
            },
        };
        let client = &mut self.clients[n];
        client.counters = client.counters.saturating_add(growth);
        self.grown = self.grown.saturating_add(growth);
        let event = match self.rng.random_bool(completed) {
            true => {
                client.left = 0;
                Event::Completed
            }
            false => Event::None,
        };
        self.record(n, event)
    }

    fn newcomer(&mut self) -> Client {
        let at = self
            .rng
            .random_range(0.0..self.shares.last().copied().unwrap_or(1.0));
        let torrent = self.shares.partition_point(|&share| share < at) as u32 + 1;
        Client {
            user: UserId(self.rng.random_range(1..=self.extent.users)),
            torrent: TorrentId(torrent.min(self.extent.torrents)),
            counters: Counters::default(),
            left: if self.rng.random_bool(0.5) { LEFT } else { 0 },
        }
    }

    fn record(&self, n: usize, event: Event) -> Record {
        let client = self.clients[n];
        Record {
            session: client.key(n),
            counters: client.counters,
            left: client.left,
            role: client.role(),
            in_swarm: true,
            event,
            at: self.now,
            endpoint: endpoint(client.user),
        }
    }
}

impl Client {
    /// A client's peer id is its own.
    fn key(&self, n: usize) -> SessionKey {
        let PeerId(mut id) = peer_id(self.user);
        id[12..].copy_from_slice(format!("{n:08x}").as_bytes());
        SessionKey {
            user: self.user,
            torrent: self.torrent,
            peer_id: PeerId(id),
        }
    }

    fn role(&self) -> Role {
        match self.left {
            0 => Role::Seeder,
            _ => Role::Leecher,
        }
    }
}

/// One in two has a passkey; the others have tokens.
pub(super) fn member(id: UserId) -> Member {
    Member {
        id,
        status: MemberStatus::Active,
        class: UserClass::Newbie,
        leech: LeechRights::Free,
        passkey: id.0.is_multiple_of(2).then(|| passkey(id)),
    }
}

fn torrent(id: TorrentId) -> RegisteredTorrent {
    RegisteredTorrent {
        id,
        info_hash: info_hash(id),
        info_hash_v2: None,
        status: TorrentStatus::Open,
        completed: 0,
    }
}

fn endpoint(user: UserId) -> Endpoint {
    Endpoint::new(address(user), crate::site::PORT)
}
