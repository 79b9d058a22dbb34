//! A site in a folder of its own: its processes, its commands, and a client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// Makes two tests of each function: `sqlite::name` and `postgres::name`.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(crate::site::Database::Sqlite); })+
        }
        mod postgres {
            $(
                #[test]
                #[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
                fn $name() { super::$name(crate::site::Database::Postgres); }
            )+
        }
    };
}

/// For what must happen soon, on a machine that may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Which database a test runs on.
#[derive(Clone, Copy)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

pub(crate) struct Site {
    folder: TempDir,
    database_url: String,
    /// Dropped at the end: server and name.
    postgres: Option<(String, String)>,
}

impl Site {
    pub(crate) fn new(database: Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database_url, postgres) = match database {
            Database::Sqlite => ("sqlite:data/purser.db".to_owned(), None),
            Database::Postgres => {
                let server = std::env::var("PURSER_TEST_POSTGRES").unwrap();
                let name = format!("purser_serving_{:016x}", rand::random::<u64>());
                on_server(&server, format!("create database {name}"));
                let (base, _) = server.rsplit_once('/').unwrap();
                (format!("{base}/{name}"), Some((server, name)))
            }
        };
        Self {
            folder,
            database_url,
            postgres,
        }
    }

    /// On a database that is there already, and stays.
    pub(crate) fn on(database_url: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database_url: database_url.to_owned(),
            postgres: None,
        }
    }

    /// Where its database is, from any folder.
    pub(crate) fn database_url(&self) -> String {
        match self.database_url.strip_prefix("sqlite:") {
            Some(file) => format!("sqlite:{}", self.path().join(file).display()),
            None => self.database_url.clone(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// `purser …` with free ports, and this site's database.
    pub(crate) fn program(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
        command
            .current_dir(self.path())
            .env_clear()
            .env("DATABASE_URL", &self.database_url)
            .env("PURSER__TRACKER__HTTP", "[::]:0")
            .env("PURSER__TRACKER__UDP", "[::]:0")
            .env("PURSER__API__LISTEN", "127.0.0.1:0")
            .env("PURSER__METRICS__LISTEN", "127.0.0.1:0")
            .env("PURSER__METRICS__LISTEN_API", "127.0.0.1:0")
            .env("PURSER__PERSISTER__FLUSH_INTERVAL_MS", "50")
            .args(args.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a serving command and waits until it says where it listens.
    pub(crate) fn start(&self, args: &str) -> Server {
        self.start_with(args, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(&self, args: &str, env: &[(&str, &str)]) -> Server {
        let mut command = self.program(&format!("--json {args}"));
        command.envs(env.iter().copied());
        Server::new(command)
    }

    /// `serve` with its journal on a disk of its own, which is so large and is gone when the process ends.
    pub(crate) fn start_on_a_disk_of(&self, mib: u32, env: &[(&str, &str)]) -> Server {
        std::fs::create_dir_all(self.path().join("data/journal")).unwrap();
        let program = self.program("--json serve");
        let script =
            format!("mount -t tmpfs -o size={mib}m none data/journal && exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(self.path())
            .env_clear()
            .envs(
                program
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Server::new(command)
    }

    /// What a command that must go well prints.
    pub(crate) fn run(&self, args: &str) -> String {
        let output = self.program(args).output().unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The one line of a command that must fail with status 1.
    pub(crate) fn run_badly(&self, args: &str, env: &[(&str, &str)]) -> String {
        let output = self
            .program(args)
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr.trim_end().to_owned()
    }

    /// A member's key.
    pub(crate) fn create_user(&self, name: &str) -> String {
        let url = self.run(&format!("create-user --username {name}"));
        url.rsplit_once('/').unwrap().1.to_owned()
    }

    /// What is on a member's account, out of the database.
    pub(crate) fn uploaded(&self, name: &str) -> u64 {
        runtime().block_on(async {
            let store = store::Store::open(&self.database_url()).await.unwrap();
            let user = store.find_user(name).await.unwrap().unwrap();
            store.totals(user.id).await.unwrap().uploaded
        })
    }

    /// Rows out of the database, whichever it is.
    pub(crate) fn rows<T>(&self, query: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let url = self.database_url();
        runtime().block_on(async {
            if url.starts_with("sqlite:") {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let rows = sqlx::query_as(AssertSqlSafe(query));
                let rows = rows.fetch_all(&mut connection).await.unwrap();
                // So that the last to leave tidies up, and the file is all there is.
                connection.close().await.unwrap();
                rows
            } else {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                let rows = sqlx::query_as(AssertSqlSafe(query));
                rows.fetch_all(&mut connection).await.unwrap()
            }
        })
    }

    /// Registers a torrent that libtorrent made; returns its info hash, percent-encoded.
    pub(crate) fn add_torrent(&self) -> String {
        let fixtures =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tracker-core/tests/fixtures");
        let file = fixtures.join("hybrid-multi.torrent");
        let hash = self.run(&format!("add-torrent {}", file.display()));
        hash.as_bytes()
            .chunks(2)
            .map(|digits| format!("%{}", str::from_utf8(digits).unwrap()))
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.postgres {
            on_server(server, format!("drop database {name} with (force)"));
        }
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

fn on_server(server: &str, statement: String) {
    runtime().block_on(async {
        let mut connection = PgConnection::connect(server).await.unwrap();
        let statement = AssertSqlSafe(statement);
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    });
}

/// A running process; killed if a test fails before it has ended.
pub(crate) struct Server {
    child: Child,
    pub(crate) banner: Value,
}

impl Server {
    /// Waits until it says where it listens.
    fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut documents = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let banner = match documents.next() {
            Some(Ok(banner)) => banner,
            other => panic!("no banner: {other:?}: {:?}", child.wait_with_output()),
        };
        Self { child, banner }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        (self.child.wait().unwrap(), stderr)
    }

    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let (status, stderr) = self.ended();
        assert!(status.success(), "{status}: {stderr}");
    }

    /// `kill -9`: nothing is saved any more.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        let (status, stderr) = self.ended();
        let signal = Some(Signal::KILL.as_raw());
        assert_eq!(status.signal(), signal, "it had ended before: {stderr}");
    }

    /// The port of the announce listener.
    pub(crate) fn announce_port(&self) -> u16 {
        let url = self.banner["announce"].as_str().unwrap();
        let port = url.split(':').nth(2).unwrap().split('/').next().unwrap();
        port.parse().unwrap()
    }

    /// A metric without labels; `None` until it is there.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.get("metrics", "/metrics").1;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        metrics.split("\\n").find_map(value)
    }

    /// Memory that the process has in use, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let resident = |line: &str| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        };
        status.lines().find_map(resident).unwrap() / 1024
    }

    /// Hundredths of a second that the process has computed for.
    #[allow(dead_code, reason = "the tests of the API use it")]
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// GETs from one of the listeners named in the banner; status line and body.
    pub(crate) fn get(&self, listener: &str, target: &str) -> (String, String) {
        let url = self.banner[listener].as_str().unwrap();
        let authority = url
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let reply = reply.escape_ascii().to_string();
        let (head, body) = reply.split_once("\\r\\n\\r\\n").unwrap();
        (
            head.split("\\r\\n").next().unwrap().to_owned(),
            body.to_owned(),
        )
    }

    pub(crate) fn announce(&self, key: &str, hash: &str, port: u16, rest: &str) -> String {
        let target = format!(
            "/announce/{key}?info_hash={hash}&peer_id=-XX0001-{port:012}&port={port}&{rest}"
        );
        self.get("announce", &target).1
    }

    /// Announces until the tracker has heard of the member and the torrent.
    pub(crate) fn announce_when_known(
        &self,
        key: &str,
        hash: &str,
        port: u16,
        rest: &str,
    ) -> String {
        until(|| {
            let reply = self.announce(key, hash, port, rest);
            let is_known = !reply.contains("unknown key") && !reply.contains("unregistered");
            is_known.then_some(reply)
        })
    }

    pub(crate) fn scrape(&self, key: &str, hash: &str) -> String {
        self.get("announce", &format!("/scrape/{key}?info_hash={hash}"))
            .1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "nothing came of it");
        std::thread::yield_now();
    }
}
