//! Purser itself: one process in a folder of its own, its commands, its metrics and its database.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::caller::{Caller, PASSWORD};
use crate::programs::{Program, clean, free_port, until};
use crate::torrents::Torrent;

/// Promised: a change reaches the tracker within two seconds. Twice that, on a busy machine.
const CHANGE_KNOWN: Duration = Duration::from_secs(4);

const PURSER: &str = env!("CARGO_BIN_EXE_purser");

/// Which database Purser writes to.
#[derive(Clone, Copy)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

pub(crate) struct Site {
    server: Program,
    announce: SocketAddr,
    udp_port: String,
    metrics: SocketAddr,
    api: String,
    admin_password: String,
    database: TestDatabase,
    folder: TempDir,
}

impl Site {
    /// An empty site that announces on this address.
    pub(crate) fn start(address: IpAddr, database: Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(database, folder.path());
        let mut command = clean(PURSER, folder.path());
        let announce = SocketAddr::new(address, free_port());
        command
            .args(["serve", "--json"])
            .env("DATABASE_URL", &database.url)
            .env("PURSER__TRACKER__HTTP", announce.to_string())
            .env("PURSER__TRACKER__UDP", announce.to_string())
            .env("PURSER__TRACKER__PUBLIC_URL", format!("http://{announce}"))
            .env("PURSER__API__LISTEN", "127.0.0.1:0")
            .env("PURSER__METRICS__LISTEN", "127.0.0.1:0");
        let mut server = Program::start(command, folder.path().join("log"), Some(Stdio::piped()));
        let stdout = server.child.stdout.take().unwrap();
        let mut documents = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let banner = documents.next().expect("a banner").unwrap();
        let udp_port = authority(&banner["udp"]).rsplit_once(':').unwrap().1;
        Self {
            server,
            udp_port: udp_port.to_owned(),
            announce,
            metrics: authority(&banner["metrics"]).parse().unwrap(),
            api: authority(&banner["api"]).to_owned(),
            admin_password: banner["first_start"]["password"]
                .as_str()
                .unwrap()
                .to_owned(),
            database,
            folder,
        }
    }

    /// Makes a folder that is there as long as the site.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// A new member's announce URL.
    pub(crate) fn create_user(&self, name: &str) -> String {
        self.run(&["create-user", "--username", name])
    }

    /// The same announce URL for UDP.
    pub(crate) fn over_udp(&self, announce_url: &str) -> String {
        let (_, key) = announce_url.rsplit_once('/').unwrap();
        let host = announce_url.strip_prefix("http://").unwrap();
        let (host, _) = host.rsplit_once(':').unwrap();
        format!("udp://{host}:{}/announce/{key}", self.udp_port)
    }

    /// The administrator of the first start, over the API.
    pub(crate) fn admin(&self) -> Caller {
        Caller::to(&self.api).logged_in("admin", &self.admin_password)
    }

    /// A new member, who came by invite, over the API.
    pub(crate) fn member(&self, name: &str) -> Caller {
        let anonymous = Caller::to(&self.api);
        let answer = anonymous.register(name, &self.run(&["create-invite"]));
        assert_eq!(answer.status, 201, "{answer:?}");
        anonymous.logged_in(name, PASSWORD)
    }

    /// Adds the torrent, and waits until the tracker knows it and these members.
    pub(crate) fn register(&self, torrent: &Torrent, announce_urls: &[&str]) {
        let hash = self.run(&["add-torrent", torrent.path.to_str().unwrap()]);
        self.wait_for_tracker(&hash, announce_urls);
    }

    /// Until the tracker knows this torrent and these members.
    pub(crate) fn wait_for_tracker(&self, hash: &str, announce_urls: &[&str]) {
        let digits = hash.as_bytes().chunks(2);
        let hash: String = digits
            .map(|digits| format!("%{}", str::from_utf8(digits).unwrap()))
            .collect();
        for url in announce_urls {
            let (_, key) = url.rsplit_once('/').unwrap();
            let target = format!("/scrape/{key}?info_hash={hash}");
            until("a scrape with the torrent in it", CHANGE_KNOWN, || {
                get(self.announce, &target).contains("8:complete")
            });
        }
    }

    /// Announces with this event that were answered.
    pub(crate) fn announces(&self, event: &str) -> u32 {
        self.answered(&format!("event=\"{event}\""))
    }

    /// Announces by this protocol that were answered.
    pub(crate) fn announces_over(&self, protocol: &str) -> u32 {
        self.answered(&format!("protocol=\"{protocol}\""))
    }

    fn answered(&self, label: &str) -> u32 {
        let metrics = get(self.metrics, "/metrics");
        metrics
            .lines()
            .filter(|line| line.starts_with("purser_announces_total{") && line.contains(label))
            .filter(|line| !line.contains("outcome=\"refused\""))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap())
            .sum()
    }

    /// Asks the database for one number.
    pub(crate) fn number(&self, sql: &'static str) -> i64 {
        self.database.number(sql)
    }

    /// Sessions that the database has as being in a swarm.
    pub(crate) fn sessions_in_swarms(&self) -> i64 {
        self.number("select count(*) from sessions where active")
    }

    /// Ends the program, which has to be content with it. The database stays.
    pub(crate) fn stop(&mut self) {
        let status = self.server.end(Signal::TERM);
        assert!(status.success(), "purser: {status}");
    }

    /// What a command that must go well prints.
    fn run(&self, args: &[&str]) -> String {
        let mut command = clean(PURSER, self.folder.path());
        command
            .args(args)
            .env("DATABASE_URL", &self.database.url)
            .env(
                "PURSER__TRACKER__PUBLIC_URL",
                format!("http://{}", self.announce),
            );
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }
}

/// `127.0.0.1:80` of `http://127.0.0.1:80/path`.
fn authority(url: &Value) -> &str {
    url.as_str().and_then(|url| url.split('/').nth(2)).unwrap()
}

/// The whole reply, head and body.
fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

/// Gone when it is dropped.
struct TestDatabase {
    url: String,
    /// The server's URL, and the database's name there.
    on_postgres: Option<(String, String)>,
}

impl TestDatabase {
    fn create(database: Database, folder: &Path) -> Self {
        match database {
            Database::Sqlite => Self {
                url: format!("sqlite:{}", folder.join("purser.db").display()),
                on_postgres: None,
            },
            Database::Postgres => {
                let server = std::env::var("PURSER_TEST_POSTGRES")
                    .expect("PURSER_TEST_POSTGRES names a server to test on");
                let name = format!("purser_clients_{:016x}", rand::random::<u64>());
                on_server(&server, format!("create database {name}"));
                let (host, _) = server.rsplit_once('/').unwrap();
                Self {
                    url: format!("{host}/{name}"),
                    on_postgres: Some((server, name)),
                }
            }
        }
    }

    fn number(&self, sql: &'static str) -> i64 {
        block_on(async {
            if self.on_postgres.is_some() {
                let mut connection = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            } else {
                let mut connection = SqliteConnection::connect(&self.url).await?;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            }
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.on_postgres {
            on_server(server, format!("drop database {name} with (force)"));
        }
    }
}

fn on_server(server: &str, statement: String) {
    block_on(async {
        let mut connection = PgConnection::connect(server).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
    });
}

fn block_on<T>(work: impl Future<Output = sqlx::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work).unwrap()
}
