//! The site, its two tracker processes, its clients, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use persister::flush::FlushError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::{Category, NewTorrent, NewUser, Store, UserRole};
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, UnixTime, UserId};
use tracker_core::outbox::Round;
use tracker_core::record::Event;
use tracker_core::registry::{TorrentStatus, UserClass};

use crate::client::{Client, Report, Session, address};
use crate::database::Database;
use crate::node::{Death, Node, passkey};

const USERS: u32 = 40;
const TORRENTS: u8 = 8;
const CLIENTS: usize = 240;

pub(crate) struct World<'a> {
    database: &'a Database,
    random: StdRng,
    store: Store,
    nodes: [Option<Node>; 2],
    clients: Vec<Client>,
    /// Who waits for which round of which process.
    waiting: Vec<(usize, Round, usize)>,
    now: UnixTime,
    /// Whether trackers can tell whose news is older. If so, clients move from one to the other, or announce to both; if
    /// not, the clock is set back now and then.
    clocks_agree: bool,
    pub(crate) events: Events,
}

/// That the test tested something.
#[derive(Debug, Default)]
pub(crate) struct Events(BTreeMap<&'static str, u32>);

impl Events {
    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(what, times)| write!(f, "{what} {times}, "))
    }
}

impl<'a> World<'a> {
    pub(crate) async fn new(database: &'a Database, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let now = UnixTime(1_800_000_000);
        let store = database.open().await;
        store.migrate().await.unwrap();
        for user in 1..=USERS {
            let id = store.create_user(&new_user(user, now)).await.unwrap();
            assert_eq!(id, UserId(user));
        }
        for torrent in 0..TORRENTS {
            store.add_torrent(&new_torrent(torrent, now)).await.unwrap();
        }
        let clocks_agree = seed.is_multiple_of(2);
        let clients = (0..CLIENTS).map(|_| Client {
            announces_to_both: clocks_agree && random.random_bool(0.2),
            user: random.random_range(1..=USERS),
            torrent: random.random_range(0..TORRENTS),
            node: random.random_range(0..2),
            session: None,
            moved: Counters::default(),
            snatched: false,
        });
        let clients = clients.collect();
        let mut world = Self {
            database,
            random,
            store,
            nodes: [None, None],
            clients,
            waiting: Vec::new(),
            now,
            clocks_agree,
            events: Events::default(),
        };
        world.start(0).await;
        world.start(1).await;
        world
    }

    /// Something happens.
    pub(crate) async fn step(&mut self) {
        let node = self.random.random_range(0..2);
        match self.random.random_range(0..1000) {
            0..760 => self.a_client_acts(),
            760..880 => self.record(node),
            880..920 => self.flush(node).await,
            920..930 => self.flush_cut_off(node).await,
            930..971 => self.flush_with_broken_connections(node).await,
            971..976 => self.die(node, Death::Quiet).await,
            976..981 => self.die(node, Death::TornWrite).await,
            981..986 => self.die(node, Death::DoubleWrite).await,
            986..990 => self.restart_gently(node).await,
            990..995 => self.time_jumps(node).await,
            _ if self.clocks_agree => self.clients_move().await,
            _ => self.flush(node).await,
        }
        self.now.0 += self.random.random_range(1..20);
    }

    fn a_client_acts(&mut self) {
        let who = self.random.random_range(0..CLIENTS);
        let chance = self.random.random_range(0..100);
        let client = &mut self.clients[who];
        let Some(session) = &mut client.session else {
            client.session = Some(Session::new(&mut self.random));
            return self.say(who, Event::Started);
        };
        if let Some(event) = session.unanswered {
            // Retried, or still being waited for.
            return self.say(who, event);
        }
        match chance {
            0..4 => {
                session.wants(Event::Stopped);
                session.moves_bytes(&mut self.random);
                self.say(who, Event::Stopped);
            }
            4..10 if session.left > 0 => {
                session.moves_bytes(&mut self.random);
                session.left = 0;
                session.wants(Event::Completed);
                self.say(who, Event::Completed);
            }
            // One that announces to two trackers, of which one is behind, may lose what came before its crash.
            10..13 if !client.announces_to_both => {
                // It crashes right after a report that is in the journal, and comes back under the same name.
                self.events.note("restarted clients");
                self.say(who, Event::None);
                let node = self.clients[who].node;
                self.record(node);
                let client = &mut self.clients[who];
                if let Some(session) = &mut client.session {
                    client.moved = client.moved.saturating_add(session.restart());
                }
                self.say(who, Event::Started);
            }
            13..17 => {
                self.events.note("moved addresses");
                session.address = address(&mut self.random);
            }
            17..27 => {
                if let Some(stale) = session.stale.clone() {
                    self.events.note("stale copies");
                    for _ in 0..self.random.random_range(1..4) {
                        self.say_once(who, &stale);
                    }
                }
            }
            _ => {
                session.moves_bytes(&mut self.random);
                self.say(who, Event::None);
            }
        }
    }

    /// Says it, perhaps more than once, perhaps over both address families.
    fn say(&mut self, who: usize, event: Event) {
        let Some(session) = &mut self.clients[who].session else {
            return;
        };
        let report = session.report(event);
        let copies = match self.random.random_range(0..10) {
            0 => 3,
            1 | 2 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            self.say_once(who, &report);
        }
    }

    fn say_once(&mut self, who: usize, report: &Report) {
        let client = &self.clients[who];
        let Some(session) = &client.session else {
            return;
        };
        let from = match self.random.random_bool(0.2) {
            true => address(&mut self.random),
            false => session.address,
        };
        let nodes = match client.announces_to_both {
            true => 0..=1,
            false => client.node..=client.node,
        };
        for at in nodes {
            self.events.note("announces");
            let node = self.nodes[at].as_mut().unwrap();
            let whose = (client.user, client.torrent);
            let promised = node.announce(whose, session, from, report, self.now);
            self.waiting.extend(promised.map(|round| (at, round, who)));
        }
    }

    /// A group commit; then promises are given.
    fn record(&mut self, node: usize) {
        let done = self.nodes[node].as_mut().unwrap().record();
        self.nodes[node].as_ref().unwrap().tracker.outbox.done(done);
        let answered = |(at, round, _): &(usize, Round, usize)| *at == node && *round <= done;
        let promises: Vec<_> = self.waiting.extract_if(.., |w| answered(w)).collect();
        for (_, _, who) in promises {
            self.answered(who, node);
        }
    }

    fn answered(&mut self, who: usize, by: usize) {
        let client = &mut self.clients[who];
        let Some(session) = &mut client.session else {
            return;
        };
        match session.is_answered(by, client.announces_to_both) {
            Some(Event::Stopped) => {
                client.moved = client.moved.saturating_add(session.counters);
                client.session = None;
            }
            Some(Event::Completed) => client.snatched = true,
            _ => {}
        }
    }

    async fn flush(&mut self, node: usize) {
        // A connection that was cut for the other process may be met here.
        let mut tries = 0;
        while let Err(error) = self.nodes[node].as_mut().unwrap().persister.flush().await {
            tries += 1;
            assert!(tries < 1000, "{error}");
            self.events.note("failed flushes");
            assert!(!matches!(error, FlushError::Foreign), "{error}");
        }
    }

    /// Killed at some await of a flush: in a read, a write, or the commit, done or not.
    async fn flush_cut_off(&mut self, node: usize) {
        self.record(node);
        let polls = self.random.random_range(0..25);
        let flushing = self.nodes[node].as_mut().unwrap();
        if flushing.flush_for(polls).await.is_none() {
            self.events.note("killed flushes");
        }
        self.die(node, Death::Quiet).await;
    }

    /// The process lives, its connections break in the middle of a transaction or of its commit, and come back.
    async fn flush_with_broken_connections(&mut self, node: usize) {
        self.record(node);
        let polls = self.random.random_range(1..25);
        let flushing = self.nodes[node].as_mut().unwrap();
        let broken = flushing
            .flush_and(polls, self.database.cut_connections())
            .await;
        if let Some(Err(error)) = broken {
            assert!(!matches!(error, FlushError::Foreign), "{error}");
            self.events.note("broken flushes");
        }
        self.flush(node).await;
    }

    async fn die(&mut self, node: usize, death: Death) {
        self.events.note("deaths");
        let dead = self.nodes[node].take().unwrap();
        dead.die(death, &mut self.random);
        // Whoever waited for an answer asks again.
        self.waiting.retain(|(at, _, _)| *at != node);
        self.start(node).await;
    }

    async fn restart_gently(&mut self, node: usize) {
        self.record(node);
        self.flush(node).await;
        self.die(node, Death::Quiet).await;
    }

    async fn start(&mut self, node: usize) {
        let dir = self.database.folder.path().join(format!("node{node}"));
        let name = 1 + node as u8;
        self.nodes[node] = Some(Node::start(self.store.clone(), &dir, name, self.now).await);
    }

    /// Forwards by hours, so that memory forgets who is silent; or backwards.
    async fn time_jumps(&mut self, node: usize) {
        match !self.clocks_agree && self.random.random_bool(0.3) {
            true => self.now.0 -= self.random.random_range(0..20_000),
            false => self.now.0 += self.random.random_range(0..20_000),
        }
        let node = self.nodes[node].as_mut().unwrap();
        node.persister.sweep(self.now).await;
    }

    /// A load balancer sends some clients elsewhere, after the processes have brought in what they had.
    async fn clients_move(&mut self) {
        self.now.0 += 1;
        self.events.note("moves");
        for node in 0..2 {
            self.record(node);
            self.flush(node).await;
        }
        for client in &mut self.clients {
            // To another tracker it speaks in another second: of one second's news nobody knows which is newer.
            if self.random.random_bool(0.1) {
                client.node = 1 - client.node;
                self.events.note("moved clients");
            }
        }
    }

    /// Every promise is given, every client says its last word, and everything is brought in.
    pub(crate) async fn settle(&mut self) {
        for node in 0..2 {
            self.die(node, Death::Quiet).await;
        }
        for round in 0..2 {
            for who in 0..CLIENTS {
                let unanswered = self.clients[who].session.as_ref().map(|s| s.unanswered);
                match unanswered {
                    Some(Some(event)) => self.say(who, event),
                    Some(None) if round == 1 => self.say(who, Event::None),
                    _ => {}
                }
            }
            self.record(0);
            self.record(1);
        }
        self.flush(0).await;
        self.flush(1).await;
    }

    pub(crate) async fn compare(&mut self) {
        let mut sums = BTreeMap::<u32, Counters>::new();
        let mut snatches = BTreeMap::<u8, BTreeSet<u32>>::new();
        for client in &self.clients {
            let current = client.session.as_ref().map(|session| session.counters);
            let sum = sums.entry(client.user).or_default();
            *sum = sum
                .saturating_add(client.moved)
                .saturating_add(current.unwrap_or_default());
            if client.snatched {
                snatches
                    .entry(client.torrent)
                    .or_default()
                    .insert(client.user);
            }
        }
        let mut total = Counters::default();
        for (user, sum) in sums {
            let stored = self.store.totals(UserId(user)).await.unwrap();
            assert_eq!(stored, sum, "user {user}");
            total = total.saturating_add(sum);
        }
        assert!(
            total.uploaded > 1 << 38,
            "the test tested something: {total:?}"
        );
        for torrent in 0..TORRENTS {
            let found = self
                .store
                .find_torrent(&hash(torrent))
                .await
                .unwrap()
                .unwrap();
            let expected = snatches.get(&torrent).map_or(0, BTreeSet::len);
            assert_eq!(found.completed as usize, expected, "snatches of {torrent}");
        }
        for column in [
            "users.uploaded",
            "users.credited_uploaded",
            "traffic.uploaded",
            "torrents.uploaded",
            "sessions.credited_uploaded",
        ] {
            assert_eq!(self.database.sum(column).await, total.uploaded, "{column}");
        }
        for column in [
            "users.downloaded",
            "users.credited_downloaded",
            "traffic.downloaded",
            "torrents.downloaded",
            "sessions.credited_downloaded",
        ] {
            assert_eq!(
                self.database.sum(column).await,
                total.downloaded,
                "{column}"
            );
        }
        let set_aside = self.database.sum("set_aside.position_to").await;
        assert_eq!(set_aside, 0, "nothing was set aside");
        for what in [
            "killed flushes",
            "deaths",
            "stale copies",
            "restarted clients",
        ] {
            assert!(self.events.0.contains_key(what), "no {what}");
        }
    }
}

fn hash(torrent: u8) -> InfoHash {
    InfoHash([b'a' + torrent; 20])
}

fn new_user(user: u32, now: UnixTime) -> NewUser {
    NewUser {
        username: format!("user{user}"),
        email: None,
        password_hash: None,
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey: Some(passkey(user)),
        created_at: now,
    }
}

fn new_torrent(torrent: u8, now: UnixTime) -> NewTorrent {
    NewTorrent {
        info_hash: hash(torrent),
        info_hash_v2: None,
        name: format!("torrent {torrent}"),
        size: 1000,
        piece_length: 16_384,
        private: true,
        category: Category::Other,
        description: String::new(),
        status: TorrentStatus::Open,
        uploader: None,
        files: vec![],
        metainfo: vec![],
        created_at: now,
    }
}
