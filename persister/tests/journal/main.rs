//! The journal at its door: what was appended is read, once and in order, whatever happened to the files in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod failure;
mod following;
mod room;

#[path = "../own_process/mod.rs"]
mod own_process;

use std::fs;
use std::path::{Path, PathBuf};

use persister::journal::{
    JournalId, Log, OpenError, Options, Position, Reader, Recovery, Writer, open,
};
use tempfile::TempDir;
use tracker_core::accounting::Counters;
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey};

const ID: JournalId = JournalId(*b"journal!");

/// The `n`th record: no two are alike.
fn record(n: u64) -> Record {
    Record {
        session: SessionKey {
            user: UserId(n as u32),
            torrent: TorrentId(7),
            peer_id: PeerId([b'p'; 20]),
        },
        counters: Counters {
            uploaded: n << 20,
            downloaded: n,
        },
        left: 1000 - n.min(1000),
        role: [Role::Leecher, Role::Seeder, Role::Partial][(n % 3) as usize],
        in_swarm: n.is_multiple_of(2),
        event: Event::ALL[(n % 5) as usize],
        at: UnixTime(n as u32),
        endpoint: if n.is_multiple_of(4) {
            Endpoint::V6([n as u8 | 1; 18])
        } else {
            Endpoint::V4([n as u8 | 1; 6])
        },
    }
}

/// Records for the positions from `first` to `last`.
fn records(first: u64, last: u64) -> Vec<Record> {
    (first..=last).map(record).collect()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn options(&self, segment_bytes: u64) -> Options {
        Options {
            dir: self.path().into(),
            id: ID,
            segment_bytes,
            limit_bytes: 1 << 30,
        }
    }

    fn open(&self, segment_bytes: u64, applied: u64) -> (Writer, Log, Recovery) {
        open(self.options(segment_bytes), Position(applied)).unwrap()
    }

    /// Opens, and says what was found.
    fn recover(&self, applied: u64) -> Recovery {
        self.open(4096, applied).2
    }

    fn error(&self) -> OpenError {
        open(self.options(4096), Position(0)).unwrap_err()
    }

    /// Appends one frame for each range of positions, and closes the journal.
    fn write(&self, segment_bytes: u64, frames: &[(u64, u64)]) {
        let (mut writer, _, _) = self.open(segment_bytes, 0);
        for &(first, last) in frames {
            assert_eq!(
                writer.append(&records(first, last)).unwrap(),
                Position(last)
            );
        }
        writer.sync().unwrap();
    }

    /// Names that end so, sorted.
    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut paths: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(suffix))
            .collect();
        paths.sort();
        paths
    }

    fn segment(&self, first: u64) -> PathBuf {
        self.path().join(format!("{first:020}.journal"))
    }
}

/// Everything there is, checked to be what was written for its position. Returns the positions.
fn read(reader: &mut Reader) -> Vec<u64> {
    let mut positions = Vec::new();
    while reader
        .read(7, |position, found| {
            assert_eq!(*found, record(position.0));
            positions.push(position.0);
        })
        .unwrap()
        > 0
    {}
    positions
}

fn read_all(log: &Log) -> Vec<u64> {
    read(&mut log.reader(Position(0)))
}

fn range(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

fn lines(recovery: &Recovery) -> Vec<String> {
    recovery.findings.iter().map(ToString::to_string).collect()
}

/// `line` without the folder that a file is in.
fn without_folder(folder: &Folder, recovery: &Recovery) -> Vec<String> {
    let prefix = format!("{}/", folder.path().display());
    let lines = lines(recovery).into_iter();
    lines.map(|line| line.replace(&prefix, "")).collect()
}
