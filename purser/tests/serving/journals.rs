//! A start on a journal, or a database, that isn't as the last process left it: what is whole is counted once, and the
//! log says what isn't.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rustix::process::Signal;

use crate::accounts::Accounts;
use crate::client::Client;
use crate::load::{NOBODY_IS_EARLY, seed, settle};
use crate::meeting::Meeting;
use crate::site::{Database, Server, Site};
use crate::wire::Wire;

/// The database gets nothing before the tracker is asked to stop.
const ENV: [(&str, &str); 2] = [
    NOBODY_IS_EARLY,
    ("PURSER__PERSISTER__FLUSH_INTERVAL_MS", "60000"),
];

/// A site, and clients of it that speak one after the other: each event is a position of its own, and a frame.
struct Stage {
    site: Site,
    clients: Vec<Client>,
    meeting: Arc<Meeting>,
    rng: SmallRng,
}

impl Stage {
    fn new() -> Self {
        let site = Site::new(Database::Sqlite);
        let mut clients = settle(&site);
        clients.truncate(5);
        Self {
            site,
            clients,
            meeting: Arc::default(),
            rng: SmallRng::seed_from_u64(seed()),
        }
    }

    fn start(&self) -> Server {
        let server = self.site.start_with("serve", &ENV);
        self.meeting.begin(&server);
        server
    }

    /// `started` from each client, then `stopped` with what it has moved.
    fn speak(&mut self) {
        let mut wire = Wire::new(&self.meeting);
        for client in &mut self.clients {
            client.start(&mut wire, &mut self.rng);
        }
        for client in &mut self.clients {
            client.stop(&mut wire, &mut self.rng);
        }
        assert_eq!(self.meeting.troubles(), (0, None));
    }

    /// The journal has ten announces, and the database none.
    fn killed() -> Self {
        let mut stage = Self::new();
        let server = stage.start();
        stage.speak();
        server.kill();
        stage
    }

    /// Starts, and stops once everything is in the database. Returns the log.
    fn log(&self) -> String {
        saved(self.start())
    }

    fn assert_stored(&self) {
        Accounts::of(&self.clients).assert_stored_in(&self.site);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    /// The only segment.
    fn segment(&self) -> PathBuf {
        self.path("data/journal/00000000000000000001.journal")
    }
}

fn saved(server: Server) -> String {
    server.signal(Signal::TERM);
    let (status, stderr) = server.ended();
    assert!(status.success(), "{status}: {stderr}");
    assert!(stderr.contains("stopped, everything is saved"), "{stderr}");
    stderr
}

/// Every message of that level.
fn messages(log: &str, level: &str) -> Vec<String> {
    let line = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let lines = log.lines().map(line);
    let message = |line: serde_json::Value| line["fields"]["message"].as_str().unwrap().to_owned();
    lines
        .filter(|line| line["level"] == level)
        .map(message)
        .collect()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries
        .map(|entry| (name(&entry), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Where the frame of the nth record begins, and where it ends; each has a frame of its own.
fn frame(segment: &[u8], position: usize) -> (usize, usize) {
    let mut begins = 32;
    for _ in 1..position {
        begins += frame_len(&segment[begins..]);
    }
    (begins, begins + frame_len(&segment[begins..]))
}

/// 20 bytes before the records, of which the first four say how many bytes those take.
fn frame_len(frame: &[u8]) -> usize {
    20 + u32::from_le_bytes(*frame.first_chunk().unwrap()) as usize
}

#[test]
fn newer_programs_journal_stops_the_start_and_stays_as_it_is() {
    let stage = Stage::killed();
    let mut segment = fs::read(stage.segment()).unwrap();
    let current = segment.clone();
    segment[8] = 2;
    let sum = crc32fast::hash(&segment[..28]);
    segment[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(stage.segment(), segment).unwrap();
    let before = files(&stage.path("data/journal"));
    let line = stage.site.run_badly("serve", &ENV);
    assert_eq!(
        line,
        "purser: can't open the journal: data/journal/00000000000000000001.journal is of format 2, and this program \
         reads up to 1: start the newer program again, let it bring the journal into the database, and go back then"
    );
    assert!(files(&stage.path("data/journal")) == before);

    fs::write(stage.segment(), current).unwrap();
    stage.log();
    stage.assert_stored();
}

#[test]
fn flipped_byte_costs_one_announce_and_is_told() {
    let mut stage = Stage::killed();
    let mut segment = fs::read(stage.segment()).unwrap();
    // The second client's `stopped`.
    let (begins, ends) = frame(&segment, 7);
    segment[ends - 3] ^= 0x10;
    fs::write(stage.segment(), &segment).unwrap();
    let log = stage.log();
    assert_eq!(
        messages(&log, "ERROR"),
        [
            format!(
                "the journal: data/journal/00000000000000000001.journal: bytes {begins} to {} are damaged; the records \
                 around them were taken, and the file as it was is kept as 00000000000000000001.journal.damaged",
                ends - 1
            ),
            "the journal: the announce at position 7 is lost: the journal has it no more, and the database doesn't have \
             it; sessions that go on make up for it".to_owned(),
        ]
    );
    assert!(fs::read(stage.segment().with_extension("journal.damaged")).unwrap() == segment);
    stage.clients.remove(1);
    stage.assert_stored();
}

/// The folder without the journal.id beside it.
#[test]
fn another_trackers_journal_is_moved_aside_and_told() {
    let mut stage = Stage::killed();
    stage.log();
    let other = Stage::killed();
    let segment = fs::read(other.segment()).unwrap();
    fs::remove_dir_all(stage.path("data/journal")).unwrap();
    fs::rename(other.path("data/journal"), stage.path("data/journal")).unwrap();
    let server = stage.start();
    stage.speak();
    let log = saved(server);
    let id = fs::read_to_string(other.path("data/journal.id")).unwrap();
    assert_eq!(
        messages(&log, "ERROR"),
        [format!(
            "the journal: data/journal/00000000000000000001.journal: belongs to another journal, whose journal.id begins \
             with {}; not read, and kept as 00000000000000000001.journal.foreign",
            &id[..16]
        )]
    );
    assert!(fs::read(stage.segment().with_extension("journal.foreign")).unwrap() == segment);
    stage.assert_stored();
}

#[test]
fn deleted_journal_is_begun_anew_behind_what_the_database_has() {
    let mut stage = Stage::killed();
    stage.log();
    for _ in 0..2 {
        fs::remove_dir_all(stage.path("data/journal")).unwrap();
        let server = stage.start();
        stage.speak();
        let log = saved(server);
        assert!(messages(&log, "ERROR").is_empty(), "{log}");
        stage.assert_stored();
    }
    let id = fs::read_to_string(stage.path("data/journal.id")).unwrap();
    let mark = format!("select name, value from marks where name = '{}'", &id[..16]);
    assert_eq!(stage.site.rows::<(String, i64)>(&mark)[0].1, 30);
}

#[test]
fn older_copy_of_the_database_gets_what_the_journal_still_has() {
    let mut stage = Stage::killed();
    stage.log();
    let (database, copy) = (stage.path("data/purser.db"), stage.path("copy"));
    fs::copy(&database, &copy).unwrap();
    let server = stage.start();
    stage.speak();
    saved(server);
    stage.assert_stored();
    let put_back = || {
        // Closed, it is one file.
        assert!(!database.with_extension("db-wal").exists());
        fs::copy(&copy, &database).unwrap();
    };
    put_back();
    let log = stage.log();
    let line = "the journal has announces that the database hasn't";
    assert!(log.contains(line), "{log}");
    stage.assert_stored();

    // The journal has gone on since: it can't bring back what it had then.
    let server = stage.start();
    stage.speak();
    saved(server);
    put_back();
    let log = stage.log();
    assert_eq!(
        messages(&log, "ERROR"),
        [
            "the journal: the database has the announces up to position 10, and the journal begins at 21: those between \
             are lost, unless a newer backup of the database has them; sessions that go on make up for it"
        ]
    );
}
