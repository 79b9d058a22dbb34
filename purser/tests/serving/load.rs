//! A hundred and fifty clients, all the time: they go on from one start of the tracker to the next.

use std::sync::Arc;
use std::thread::JoinHandle;

use rand::rngs::SmallRng;
use rand::seq::IndexedMutRandom;
use rand::{RngExt, SeedableRng};
use store::{Category, NewFile, NewTorrent, NewUser, Store, UserRole};
use tracker_core::ids::{InfoHash, UnixTime};
use tracker_core::registry::{TorrentStatus, UserClass};

use crate::accounts::Accounts;
use crate::client::Client;
use crate::meeting::Meeting;
use crate::site::{Server, Site, runtime};
use crate::wire::Wire;

const MEMBERS: usize = 20;
const TORRENTS: usize = 5;
const CLIENTS: usize = 150;

/// So many announces can be under way when the tracker is killed.
const THREADS: usize = 16;

/// What every tracker under load is started with: nobody is early.
pub(crate) const NOBODY_IS_EARLY: (&str, &str) = ("PURSER__TRACKER__MIN_INTERVAL_SECS", "0");

/// Chance, to be repeated with PURSER_CRASH_SEED. What the threads of both sides make of it isn't.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("PURSER_CRASH_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().unwrap());
    println!("PURSER_CRASH_SEED={seed}");
    seed
}

/// New members and torrents, before the tracker's first start; each member has a client or two in every swarm.
pub(crate) fn settle(site: &Site) -> Vec<Client> {
    std::fs::create_dir_all(site.path().join("data")).unwrap();
    let (mut members, mut torrents) = (Vec::new(), Vec::new());
    runtime().block_on(async {
        let store = Store::open(&site.database_url()).await.unwrap();
        store.migrate().await.unwrap();
        for number in 1..=MEMBERS as u8 {
            let id = store.create_user(&member(number)).await.unwrap();
            members.push((i64::from(id.0), format!("{number:02x}").repeat(16)));
        }
        for number in 1..=TORRENTS as u8 {
            let id = store.add_torrent(&torrent(number)).await.unwrap();
            torrents.push((i64::from(id.0), format!("%{number:02x}").repeat(20)));
        }
        store.close().await;
    });
    let client = |number: usize| {
        let (user, key) = &members[number % MEMBERS];
        let (torrent, hash) = &torrents[number / MEMBERS % TORRENTS];
        // A port for each: two at one address and port would be taken for one.
        let port = 10_000 + number;
        let url = format!("/announce/{key}?info_hash={hash}&port={port}");
        Client::new(*user, *torrent, url)
    };
    (0..CLIENTS).map(client).collect()
}

fn member(number: u8) -> NewUser {
    NewUser {
        username: format!("member{number}"),
        email: None,
        password_hash: None,
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey: Some([number; 16]),
        created_at: UnixTime::now(),
    }
}

fn torrent(number: u8) -> NewTorrent {
    NewTorrent {
        info_hash: InfoHash([number; 20]),
        info_hash_v2: None,
        name: format!("torrent {number}"),
        size: 1 << 32,
        piece_length: 1 << 22,
        private: true,
        category: Category::Other,
        description: String::new(),
        status: TorrentStatus::Open,
        uploader: None,
        files: vec![NewFile {
            path: "file".to_owned(),
            length: 1 << 32,
        }],
        metainfo: vec![number],
        created_at: UnixTime::now(),
    }
}

/// Clients that live their lives in threads of their own.
pub(crate) struct Load {
    meeting: Arc<Meeting>,
    threads: Vec<JoinHandle<Vec<Client>>>,
}

impl Load {
    /// They wait for a tracker first.
    pub(crate) fn begin(mut clients: Vec<Client>, rng: &mut SmallRng) -> Self {
        let meeting = Arc::new(Meeting::default());
        let share = clients.len().div_ceil(THREADS);
        let mut threads = Vec::new();
        while !clients.is_empty() {
            let clients = clients.split_off(clients.len().saturating_sub(share));
            let meeting = Arc::clone(&meeting);
            let rng = SmallRng::seed_from_u64(rng.random());
            threads.push(std::thread::spawn(move || live(clients, &meeting, rng)));
        }
        Self { meeting, threads }
    }

    /// From now on they find the tracker here.
    pub(crate) fn meet(&self, server: &Server) {
        self.meeting.begin(server);
    }

    /// Returns as soon as so many more announces have been answered.
    pub(crate) fn wait_for_answers(&self, answers: u64) {
        self.meeting.wait_for_answers(answers);
    }

    /// Failures and lost connections so far: how many, and the first.
    pub(crate) fn troubles(&self) -> (u64, Option<String>) {
        self.meeting.troubles()
    }

    /// Each session that is open announces once more; then nothing comes any more.
    pub(crate) fn finish(self) -> Accounts {
        self.meeting.end();
        let clients = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let clients: Vec<_> = clients.collect();
        println!("{} announces", self.meeting.answered());
        Accounts::of(&clients)
    }
}

fn live(mut clients: Vec<Client>, meeting: &Arc<Meeting>, mut rng: SmallRng) -> Vec<Client> {
    let mut wire = Wire::new(meeting);
    while !meeting.is_over() {
        if let Some(client) = clients.choose_mut(&mut rng) {
            client.step(&mut wire, &mut rng);
        }
    }
    for client in &mut clients {
        client.say_where_it_is(&mut wire);
    }
    clients
}
