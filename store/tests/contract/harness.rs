//! A database for each test, and rows to put in it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::{
    Applied, Batch, Care, Category, Mark, NewFile, NewTorrent, NewUser, Observation, SessionChange,
    Store, StoreError, UserRole,
};
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Event, Role, SessionKey};
use tracker_core::registry::{TorrentStatus, UserClass};

/// Makes two tests of each function: `sqlite::name` and `postgres::name`.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::harness::on_sqlite(super::$name).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
            async fn $name() {
                crate::harness::on_postgres(super::$name).await;
            })+
        }
    };
}

/// The time at which everything in these tests happens, unless it matters.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

/// An empty database with the schema in it.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) url: String,
}

pub(crate) async fn on_sqlite<F>(test: fn(Database) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let database = Database::create(url).await;
    tokio::spawn(test(database)).await.unwrap();
}

pub(crate) async fn on_postgres<F>(test: fn(Database) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("PURSER_TEST_POSTGRES")
        .expect("PURSER_TEST_POSTGRES names a server to test on");
    let (host, _) = server.rsplit_once('/').unwrap();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("purser_test_{}_{number}", std::process::id());
    execute(&server, format!("create database {name}")).await;
    let database = Database::create(format!("{host}/{name}")).await;
    // In a task of its own, so that a failed test's database goes too.
    let outcome = tokio::spawn(test(database)).await;
    execute(&server, format!("drop database {name} with (force)")).await;
    outcome.unwrap();
}

impl Database {
    async fn create(url: String) -> Self {
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, url }
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql.to_owned()).await;
    }

    /// Asks for one number behind the store's back.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        if self.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }

    pub(crate) async fn user(&self, name: &str) -> UserId {
        self.store.create_user(&new_user(name)).await.unwrap()
    }

    /// A member, a torrent, and the first one's session in the other.
    pub(crate) async fn one_leecher(&self) -> (UserId, TorrentId, SessionKey) {
        let (user, torrent) = (self.user("ann").await, self.torrent(1).await);
        (user, torrent, key(user, torrent, 1))
    }

    /// Applies what comes next in the journal `here`, as a tracker does.
    pub(crate) async fn apply(&self, sessions: Vec<SessionChange>) -> Applied {
        self.apply_from("here", sessions).await
    }

    /// The same from any journal. Another tracker may come in between.
    pub(crate) async fn apply_from(&self, journal: &str, sessions: Vec<SessionChange>) -> Applied {
        let from = self.store.mark(journal).await.unwrap().unwrap_or(0);
        let mut batch = batch(from, from + 1, sessions);
        batch.mark.journal = journal.to_owned();
        let mut care = Care::Trusting;
        for _ in 0..100 {
            match self.store.apply(&batch, care).await {
                Err(StoreError::Stale) => care = Care::Careful,
                outcome => return outcome.unwrap(),
            }
        }
        panic!("stale again and again: {:?}", batch.mark);
    }

    /// The same, with hints of sessions that may have announced that long ago.
    pub(crate) async fn apply_hinted(&self, sessions: Vec<SessionChange>, since: UnixTime) {
        let from = self.store.mark("here").await.unwrap().unwrap_or(0);
        let batch = Batch {
            hints_since: since,
            ..batch(from, from + 1, sessions)
        };
        self.store.apply(&batch, Care::Trusting).await.unwrap();
    }

    /// What was counted for the only torrent.
    pub(crate) async fn torrent_totals(&self) -> Counters {
        let uploaded = self.number("select uploaded from torrents").await;
        let downloaded = self.number("select downloaded from torrents").await;
        counters(uploaded as u64, downloaded as u64)
    }

    /// What was credited to the only session.
    pub(crate) async fn credited(&self) -> Counters {
        let uploaded = self.number("select credited_uploaded from sessions").await;
        let downloaded = self
            .number("select credited_downloaded from sessions")
            .await;
        counters(uploaded as u64, downloaded as u64)
    }

    /// A torrent whose hash is `byte` twenty times.
    pub(crate) async fn torrent(&self, byte: u8) -> TorrentId {
        self.store.add_torrent(&new_torrent(byte)).await.unwrap()
    }
}

async fn execute(url: &str, sql: String) {
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

pub(crate) fn new_user(name: &str) -> NewUser {
    NewUser {
        username: name.to_owned(),
        email: None,
        password_hash: None,
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey: None,
        created_at: NOW,
    }
}

pub(crate) fn new_torrent(byte: u8) -> NewTorrent {
    NewTorrent {
        info_hash: InfoHash([byte; 20]),
        info_hash_v2: None,
        name: format!("torrent {byte}"),
        size: 30,
        piece_length: 16_384,
        private: true,
        category: Category::Other,
        description: String::new(),
        status: TorrentStatus::Open,
        uploader: None,
        files: vec![
            NewFile {
                path: "a.txt".to_owned(),
                length: 10,
            },
            NewFile {
                path: "folder/ü.txt".to_owned(),
                length: 20,
            },
        ],
        metainfo: vec![0, byte, 255],
        created_at: NOW,
    }
}

pub(crate) fn key(user: UserId, torrent: TorrentId, peer: u8) -> SessionKey {
    SessionKey {
        user,
        torrent,
        peer_id: PeerId([peer; 20]),
    }
}

pub(crate) fn counters(uploaded: u64, downloaded: u64) -> Counters {
    Counters {
        uploaded,
        downloaded,
    }
}

/// A leecher that stays, which reported these in turn. Memory has no hint.
pub(crate) fn change(key: SessionKey, reports: &[Counters]) -> SessionChange {
    SessionChange {
        key,
        known: None,
        first: observation(reports[0]),
        rest: reports[1..].iter().copied().map(observation).collect(),
        bytes_left: 5,
        role: Role::Leecher,
        active: true,
        endpoint4: Some([10, 0, 0, 1, 0x1a, 0xe1]),
        endpoint6: None,
        first_at: NOW,
        announced_at: NOW,
        seeded_secs: 0,
        completed_at: None,
    }
}

pub(crate) fn observation(counters: Counters) -> Observation {
    Observation {
        counters,
        event: Event::None,
        at: NOW,
    }
}

/// A stretch of the journal `here`.
pub(crate) fn batch(from: u64, to: u64, sessions: Vec<SessionChange>) -> Batch {
    Batch {
        mark: Mark {
            journal: "here".to_owned(),
            from,
            to,
        },
        sessions,
        silence_secs: 3600,
        hints_since: UnixTime(u32::MAX),
    }
}
