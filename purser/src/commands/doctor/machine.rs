//! What the machine offers: folder, disk, open files, clock, ports.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Access, access, statvfs};

use super::Finding;
use crate::config::Config;
use crate::limits;

pub(super) const MIB: u64 = 1 << 20;

/// Room for a day of journal when the database is gone, on a busy site.
const DISK_ENOUGH: u64 = 1024 * MIB;
/// Below this, SQLite and the journal may fail at any moment.
const DISK_LEAST: u64 = 64 * MIB;

/// Beside connections: the database's, the logs', the listeners'.
const OTHER_FILES: u64 = 200;

pub(super) fn data_dir(config: &Config) -> Finding {
    let dir = &config.data_dir;
    let there = existing(dir);
    let shown = dir.display();
    if !there.is_dir() {
        return Finding::fail(
            "data_dir",
            format!("{shown}: {} is not a folder", there.display()),
        );
    }
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Err(error) => Finding::fail(
            "data_dir",
            format!("{shown}: can't write to {}: {error}", there.display()),
        ),
        Ok(()) if there == dir => Finding::ok("data_dir", format!("{shown}: writable")),
        Ok(()) => Finding::ok("data_dir", format!("{shown}: will be created")),
    }
}

/// The path, or as much of it as exists.
pub(super) fn existing(path: &Path) -> &Path {
    let mut ancestors = path
        .ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty());
    ancestors
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("."))
}

pub(super) fn token_key(config: &Config) -> Finding {
    if !config.token_key.is_empty() {
        return Finding::ok("token_key", "from the configuration");
    }
    let path = config.data_dir.join("token.key");
    let shown = path.display();
    let Ok(found) = fs::metadata(&path) else {
        return Finding::ok("token_key", format!("{shown}: will be generated"));
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Finding::warn(
            "token_key",
            format!("{shown}: others may read it (mode {mode:o}): chmod 600 {shown}"),
        );
    }
    match crate::secrets::token_key(config) {
        Ok(_) => Finding::ok("token_key", shown.to_string()),
        Err(error) => Finding::fail("token_key", format!("{error:#}")),
    }
}

pub(super) fn disk(config: &Config) -> Finding {
    let dir = existing(&config.data_dir);
    let free = match free_bytes(dir) {
        Ok(free) => free,
        Err(error) => return Finding::warn("disk", format!("{}: {error}", dir.display())),
    };
    let detail = format!("{} MiB free in {}", free / MIB, dir.display());
    if free < DISK_LEAST {
        Finding::fail("disk", detail)
    } else if free < DISK_ENOUGH {
        Finding::warn("disk", detail)
    } else {
        Finding::ok("disk", detail)
    }
}

pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

pub(super) fn open_files(config: &Config) -> Finding {
    let wanted = u64::from(config.tracker.max_connections) + OTHER_FILES;
    match limits::open_files_at_most() {
        None => Finding::ok("open files", "no limit"),
        Some(limit) if limit >= wanted => Finding::ok("open files", format!("limit {limit}")),
        Some(limit) => Finding::warn(
            "open files",
            format!(
                "limit {limit}; tracker.max_connections wants {wanted}: raise LimitNOFILE or ulimit -Hn"
            ),
        ),
    }
}

/// Expiry, intervals and tokens stand on the clock. The program can't be younger than the present.
pub(super) fn clock() -> Finding {
    let built = std::env::current_exe()
        .and_then(fs::metadata)
        .and_then(|exe| exe.modified());
    let now = now_as_text();
    match built {
        Ok(built) if built > SystemTime::now() => Finding::fail(
            "clock",
            format!("{now} is before this program was installed"),
        ),
        _ => Finding::ok("clock", now),
    }
}

fn now_as_text() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A socket that can be bound is free. Port 0 always is.
pub(super) fn ports(config: &Config) -> Vec<Finding> {
    let tracker = running_tracker(config);
    let tcp = |address: &SocketAddr| TcpListener::bind(address).map(drop);
    let udp = |address: &SocketAddr| UdpSocket::bind(address).map(drop);
    let mut looks = Vec::new();
    looks.extend(
        config
            .tracker
            .http
            .iter()
            .map(|at| ("tracker.http", at, tcp(at))),
    );
    looks.extend(
        config
            .tracker
            .udp
            .iter()
            .map(|at| ("tracker.udp", at, udp(at))),
    );
    looks.push(("api.listen", &config.api.listen, tcp(&config.api.listen)));
    looks.push((
        "metrics.listen",
        &config.metrics.listen,
        tcp(&config.metrics.listen),
    ));
    let finding = |(key, at, bound): (&str, &SocketAddr, io::Result<()>)| match (bound, &tracker) {
        (Ok(()), _) => Finding::ok("port", format!("{key} {at}: free")),
        (Err(_), Some(process)) => Finding::ok(
            "port",
            format!("{key} {at}: in use, and purser runs (process {process})"),
        ),
        (Err(error), None) => Finding::fail("port", format!("{key} {at}: {error}")),
    };
    looks.into_iter().map(finding).collect()
}

/// The process that holds this data directory, if one does.
fn running_tracker(config: &Config) -> Option<String> {
    let path = config.data_dir.join("tracker.lock");
    let lock = File::open(&path).ok()?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => fs::read_to_string(&path)
            .ok()
            .map(|id| id.trim().to_owned()),
        _ => None,
    }
}
