//! The journal's threads at their doors: announces go in, answers are promised, and the disk keeps or refuses them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod own_process;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, yield_now};
use std::time::{Duration, Instant};

use persister::journal::{self, JournalId, Log, Options, Position};
use persister::recorder::Recorder;
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::key::TokenKey;
use tracker_core::outbox::{NotJournalled, Pressure, Round};
use tracker_core::refusal::Refusal;
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::settings::Settings;
use tracker_core::tracker::{Announced, Outcome, Scratch, Tracker};

use own_process::{in_a_process_of_its_own, limit_files, on_a_disk_of};

/// Half of it is more than is written between two looks at the pressure.
const SEGMENT: u64 = 4 << 20;

/// For what must happen soon, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tracker with one member and one torrent, and its journal.
struct Desk {
    tracker: Arc<Tracker>,
    log: Log,
    recorder: Recorder,
    scratch: Scratch,
    /// What the last announce said was uploaded. Each that is taken says one more.
    uploaded: u64,
}

impl Desk {
    fn open(dir: &Path, fsync_interval: Duration) -> Self {
        let settings = Settings {
            min_interval_secs: 0,
            ..Settings::default()
        };
        let tracker = Arc::new(Tracker::new(TokenKey::from_bytes([7; 32]), settings));
        tracker.roster.put_member(Member {
            id: UserId(1),
            status: MemberStatus::Active,
            class: UserClass::Newbie,
            leech: LeechRights::Free,
            passkey: Some([0x11; 16]),
        });
        tracker.swarms.put_torrent(&RegisteredTorrent {
            id: TorrentId(1),
            info_hash: InfoHash([b'h'; 20]),
            info_hash_v2: None,
            status: TorrentStatus::Open,
            completed: 0,
        });
        let options = Options {
            dir: dir.join("journal"),
            id: JournalId([1; 8]),
            segment_bytes: SEGMENT,
            limit_bytes: 1 << 30,
        };
        let (writer, log, _) = journal::open(options, Position(0)).unwrap();
        let recorder =
            Recorder::start(Arc::clone(&tracker), writer, log.clone(), fsync_interval).unwrap();
        Self {
            tracker,
            log,
            recorder,
            scratch: Scratch::new(),
            uploaded: 0,
        }
    }

    fn announce(&mut self, event: &str) -> Announced {
        self.uploaded += 1;
        let query = format!(
            "info_hash={}&peer_id=-XX0001-000000000001&port=1&uploaded={}&downloaded=0&left=9&event={event}",
            "h".repeat(20),
            self.uploaded,
        );
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = "11".repeat(16);
        let (key, query) = (Some(key.as_bytes()), query.as_bytes());
        let announced = self
            .tracker
            .announce(key, query, from, UnixTime(1), &mut self.scratch);
        if matches!(announced.outcome, Outcome::Refused(_)) {
            self.uploaded -= 1;
        }
        announced
    }

    /// The round that an event has to wait for before it is answered.
    fn event(&mut self, event: &str) -> Round {
        let announced = self.announce(event);
        assert_eq!(announced.outcome, Outcome::Answered);
        announced.after.unwrap()
    }

    /// Waits as an answer does.
    fn journalled(&self, round: Round) -> Result<(), NotJournalled> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        let journalled = self.tracker.outbox.journalled(round);
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, journalled).await })
            .expect("nobody answers")
    }

    /// What the announces in the journal say was uploaded.
    fn written(&self) -> Vec<u64> {
        written(&self.log)
    }

    fn wait_for(&self, pressure: Pressure) {
        until(|| self.tracker.outbox.pressure() == pressure);
    }
}

fn written(log: &Log) -> Vec<u64> {
    let mut written = Vec::new();
    let mut reader = log.reader(Position(0));
    let mut read = || reader.read(1000, |_, record| written.push(record.counters.uploaded));
    while read().unwrap() > 0 {}
    written
}

fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "nothing came of it");
        yield_now();
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn events_are_answered_once_they_can_be_read(fsync_interval: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(folder.path(), fsync_interval);
    for n in 1..=100 {
        let round = desk.event(["started", "completed", "stopped"][n % 3]);
        desk.journalled(round).unwrap();
        assert_eq!(desk.written().last(), Some(&(n as u64)));
    }
    desk.recorder.stop().unwrap();
}

#[test]
fn an_event_is_answered_once_its_record_can_be_read() {
    events_are_answered_once_they_can_be_read(SECOND);
}

#[test]
fn an_event_is_answered_when_each_is_synced_too() {
    events_are_answered_once_they_can_be_read(Duration::ZERO);
}

/// One after the other, so often that it wouldn't do to find them by looking round once a second.
#[test]
fn regular_announces_are_written_soon_though_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(folder.path(), SECOND);
    let mut written = 0;
    until(|| {
        if desk.log.end() == Position(written) {
            written += 1;
            assert_eq!(desk.announce("").after, None);
        }
        written > 100
    });
    desk.recorder.stop().unwrap();
}

#[test]
fn many_at_once_are_written_once_and_in_order() {
    const LAST: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(folder.path(), Duration::from_millis(1));
    let log = desk.log.clone();
    let reading = thread::spawn(move || {
        let mut reader = log.reader(Position(0));
        let mut last = 0;
        until(|| {
            let take = |position: Position, record: &tracker_core::record::Record| {
                last += 1;
                assert_eq!((position.0, record.counters.uploaded), (last, last));
            };
            reader.read(1000, take).unwrap();
            last == LAST
        });
    });
    for _ in 1..LAST {
        desk.announce("");
    }
    let round = desk.event("stopped");
    desk.journalled(round).unwrap();
    reading.join().unwrap();
    desk.recorder.stop().unwrap();
}

#[test]
fn stopping_writes_what_is_there() {
    for n in 1..=50 {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = Desk::open(folder.path(), SECOND);
        for _ in 0..n {
            desk.announce("");
        }
        let log = desk.log;
        desk.recorder.stop().unwrap();
        assert_eq!(written(&log), (1..=n).collect::<Vec<_>>());
    }
}

#[test]
fn a_disk_that_refuses_costs_answers_and_no_records() {
    let name = "a_disk_that_refuses_costs_answers_and_no_records";
    if !in_a_process_of_its_own(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (outage, fsync_interval) in [(1, SECOND), (2, Duration::ZERO), (3, SECOND)] {
        let mut desk = Desk::open(&folder.path().join(outage.to_string()), fsync_interval);
        let round = desk.event("started");
        desk.journalled(round).unwrap();

        limit_files(Some(0));
        let round = desk.event("completed");
        assert_eq!(desk.journalled(round), Err(NotJournalled));
        assert_eq!(desk.tracker.outbox.pressure(), Pressure::Broken);
        for _ in 0..500 {
            assert_eq!(desk.announce("").outcome, Outcome::Answered);
        }
        // A last word waits in memory too. Who says it isn't told that it is safe.
        let round = desk.event("stopped");
        assert_eq!(desk.journalled(round), Err(NotJournalled));
        assert_eq!(
            desk.announce("started").outcome,
            Outcome::Refused(Refusal::Busy)
        );
        assert_eq!(desk.written(), [1]);

        limit_files(None);
        desk.wait_for(Pressure::Free);
        let round = desk.event("started");
        desk.journalled(round).unwrap();
        assert_eq!(desk.written(), (1..=desk.uploaded).collect::<Vec<_>>());
        desk.recorder.stop().unwrap();
    }
}

#[test]
fn stopping_on_a_disk_that_refuses_says_how_many_are_lost() {
    let name = "stopping_on_a_disk_that_refuses_says_how_many_are_lost";
    if !in_a_process_of_its_own(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(folder.path(), SECOND);
    let round = desk.event("started");
    desk.journalled(round).unwrap();
    limit_files(Some(0));
    let round = desk.event("completed");
    assert_eq!(desk.journalled(round), Err(NotJournalled));
    // These are still in the outbox.
    for _ in 0..10 {
        desk.announce("");
    }
    let log = desk.log;
    let unwritten = desk.recorder.stop().unwrap_err();
    limit_files(None);
    assert_eq!(
        unwritten.to_string(),
        "the journal couldn't be written to its end, 11 announces are lost: File too large (os error 27)"
    );
    assert_eq!(written(&log), [1]);
}

#[test]
#[ignore = "needs unshare and mount, which scripts/test may use"]
fn a_full_disk_has_room_again_once_the_database_has_what_is_there() {
    let name = "a_full_disk_has_room_again_once_the_database_has_what_is_there";
    let Some(disk) = on_a_disk_of(SEGMENT * 3 / 2, name) else {
        return;
    };
    let mut desk = Desk::open(&disk, SECOND);
    let round = desk.event("started");
    desk.journalled(round).unwrap();
    desk.wait_for(Pressure::Tight);
    until(|| desk.announce("").outcome == Outcome::Refused(Refusal::Busy));
    assert_eq!(desk.tracker.outbox.pressure(), Pressure::Full);
    let round = desk.event("stopped");
    desk.journalled(round).unwrap();
    let last = desk.log.end();
    desk.log.drop_through(last).unwrap();
    desk.wait_for(Pressure::Free);

    // On to the very last byte, with nothing but last words.
    until(|| match desk.tracker.outbox.pressure() {
        Pressure::Broken => true,
        pressure => {
            let is_full = pressure == Pressure::Full;
            desk.announce(if is_full { "stopped" } else { "" });
            false
        }
    });
    let last = desk.log.end();
    assert_eq!(desk.written().last(), Some(&last.0));
    desk.log.drop_through(last).unwrap();
    until(|| desk.tracker.outbox.pressure() != Pressure::Broken);
    let round = desk.event("started");
    desk.journalled(round).unwrap();
    assert_eq!(
        desk.written(),
        (last.0 + 1..=desk.uploaded).collect::<Vec<_>>()
    );
    desk.recorder.stop().unwrap();
}
