//! A site on SQLite, and a tracker process in front of it whose threads' steps are taken by hand.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use persister::flush::Persister;
use persister::follow::Follower;
use persister::journal::{self, JournalId, Options, Writer};
use persister::lanes::Lanes;
use persister::load::{load, replay};
use sqlx::{Connection, SqliteConnection};
use store::{Category, NewTorrent, NewUser, Store, UserRole};
use tempfile::TempDir;
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, UnixTime, UserId};
use tracker_core::key::TokenKey;
use tracker_core::record::Event;
use tracker_core::registry::{TorrentStatus, UserClass};
use tracker_core::reply::Counts;
use tracker_core::settings::Settings;
use tracker_core::tracker::{Outcome, Scratch, Tracker};

pub(crate) const HASH: InfoHash = InfoHash([b'h'; 20]);
pub(crate) const NOW: UnixTime = UnixTime(1_000_000);

pub(crate) fn token_key() -> TokenKey {
    TokenKey::from_bytes([7; 32])
}

pub(crate) fn later(secs: u32) -> UnixTime {
    UnixTime(NOW.0 + secs)
}

/// A site on SQLite, and a tracker process in front of it that can be started anew.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) process: Process,
    pub(crate) scratch: Scratch,
}

pub(crate) struct Process {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) writer: Writer,
    pub(crate) persister: Persister,
    pub(crate) follower: Follower,
}

impl Site {
    /// Members ann (1) and bob (2), one torrent.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("site.db").display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        for (username, passkey) in [("ann", [1; 16]), ("bob", [2; 16])] {
            store
                .create_user(&user(username, Some(passkey)))
                .await
                .unwrap();
        }
        store.add_torrent(&torrent(HASH)).await.unwrap();
        let process = Process::start(&store, &folder.path().join("journal"), NOW).await;
        Self {
            folder,
            store,
            process: process.unwrap(),
            scratch: Scratch::new(),
        }
    }

    /// The process is killed, and another one starts.
    pub(crate) async fn restart(&mut self, now: UnixTime) {
        // Only one at a time may have the journal.
        let aside = self.folder.path().join("aside");
        let aside = Process::start(&self.store, &aside, now).await.unwrap();
        drop(std::mem::replace(&mut self.process, aside));
        let journal = self.folder.path().join("journal");
        self.process = Process::start(&self.store, &journal, now).await.unwrap();
    }

    pub(crate) fn announce(
        &mut self,
        user: u8,
        at: UnixTime,
        event: Event,
        counters: (u64, u64),
        left: u64,
    ) -> Outcome {
        let key = format!("{user:02x}").repeat(16);
        self.announce_with(&key, user, at, event, counters, left)
    }

    pub(crate) fn announce_with(
        &mut self,
        key: &str,
        user: u8,
        at: UnixTime,
        event: Event,
        (uploaded, downloaded): (u64, u64),
        left: u64,
    ) -> Outcome {
        let event = match event {
            Event::None => "",
            event => event.name(),
        };
        let query = format!(
            "info_hash={}&peer_id=-XX0001-{user:012}&port={}&uploaded={uploaded}&downloaded={downloaded}\
             &left={left}&event={event}",
            "h".repeat(20),
            1000 + u16::from(user),
        );
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = Some(key.as_bytes());
        let tracker = &self.process.tracker;
        tracker
            .announce(key, query.as_bytes(), from, at, &mut self.scratch)
            .outcome
    }

    /// What the journal's thread does.
    pub(crate) fn record(&mut self) {
        let mut records = Vec::new();
        let outbox = &self.process.tracker.outbox;
        outbox.drain(&mut Vec::new(), |record| records.push(*record));
        self.process.writer.append(&records).unwrap();
    }

    pub(crate) async fn flush(&mut self) {
        self.record();
        self.process.persister.flush().await.unwrap();
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = self.connect().await;
        let asked = sqlx::query_scalar(sql).fetch_one(&mut connection);
        asked.await.unwrap()
    }

    pub(crate) async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.folder.path().join("site.db").display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    pub(crate) async fn totals(&self, user: u32) -> (u64, u64) {
        let Counters {
            uploaded,
            downloaded,
        } = self.store.totals(UserId(user)).await.unwrap();
        (uploaded, downloaded)
    }

    pub(crate) fn counts(&self) -> Option<Counts> {
        self.process.tracker.swarms.counts(&HASH, None)
    }
}

impl Process {
    pub(crate) async fn start(
        store: &Store,
        dir: &Path,
        now: UnixTime,
    ) -> Result<Self, journal::OpenError> {
        let tracker = Arc::new(Tracker::new(token_key(), Settings::default()));
        let lanes = Lanes::settled(store, "test").await.unwrap();
        let applied = lanes.applied();
        let options = Options {
            dir: dir.to_owned(),
            id: JournalId([1; 8]),
            segment_bytes: 1 << 16,
            limit_bytes: 1 << 30,
        };
        let (writer, log, _) = journal::open(options, applied)?;
        let loaded = load(store, &tracker, now, &mut |_| {}).await.unwrap();
        replay(&log, applied, &tracker, now, &mut |_| {}).unwrap();
        Ok(Self {
            writer,
            persister: Persister::new(
                store.clone(),
                Arc::clone(&tracker),
                log,
                lanes,
                loaded.baselines,
            ),
            follower: Follower::new(store.clone(), Arc::clone(&tracker), loaded.change),
            tracker,
        })
    }
}

pub(crate) fn user(username: &str, passkey: Option<[u8; 16]>) -> NewUser {
    NewUser {
        username: username.to_owned(),
        email: None,
        password_hash: None,
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey,
        created_at: NOW,
    }
}

pub(crate) fn torrent(info_hash: InfoHash) -> NewTorrent {
    NewTorrent {
        info_hash,
        info_hash_v2: None,
        name: "file".to_owned(),
        size: 100,
        piece_length: 16384,
        private: true,
        category: Category::Other,
        description: String::new(),
        status: TorrentStatus::Open,
        uploader: None,
        files: vec![],
        metainfo: vec![],
        created_at: NOW,
    }
}
