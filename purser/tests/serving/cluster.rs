//! A Postgres of a test's own, to be stopped at will.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::RngExt;
use tempfile::TempDir;

/// A running server; stopped and removed at the end.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            programs: programs(),
            port: free_port(),
        };
        let postgres = cluster.path();
        std::fs::create_dir(&postgres).unwrap();
        if is_root() {
            let enter = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(cluster.folder.path(), enter).unwrap();
            run(Command::new("chown").arg("postgres").arg(&postgres));
        }
        let mut initdb = cluster.program("initdb");
        initdb
            .args(["--username", "purser", "--auth", "trust"])
            .args(["--encoding", "UTF8", "--no-locale", "--no-sync"]);
        run(&mut initdb);
        cluster.start();
        cluster
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://purser@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn start(&self) {
        let postgres = self.path();
        let options = format!(
            "-p {} -h 127.0.0.1 -k '{}' -c fsync=off -c full_page_writes=off",
            self.port,
            postgres.display()
        );
        let mut start = self.program("pg_ctl");
        start
            .args(["start", "--wait", "--silent", "--options", &options])
            .arg("--log")
            .arg(postgres.join("log"));
        run(&mut start);
    }

    /// As a power cut would: nothing is finished, every connection is gone.
    pub(crate) fn stop(&self) {
        let mut stop = self.program("pg_ctl");
        run(stop.args(["stop", "--mode", "immediate", "--silent"]));
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    /// Postgres refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.path())
            .arg("--pgdata")
            .arg(self.path().join("data"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// Debian doesn't put initdb on the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let debian = versions
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let has_initdb = |folder: &PathBuf| Path::new(folder).join("initdb").exists();
    debian
        .chain(on_path)
        .find(has_initdb)
        .expect("Postgres is installed")
}

/// Below the ports that the kernel gives out by itself: while the server is away, nobody takes it by chance.
fn free_port() -> u16 {
    let mut rng = rand::rng();
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| rng.random_range(10_000..20_000))
        .take(100)
        .find(is_free)
        .unwrap()
}
