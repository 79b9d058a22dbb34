//! Writing and reading, when all is well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use persister::journal::{OpenError, Position};

use super::{Folder, range, read, read_all, record, records};

#[test]
fn what_is_appended_is_read_in_order_with_its_positions() {
    let folder = Folder::new();
    let (mut writer, log, recovery) = folder.open(1 << 20, 0);
    assert_eq!((recovery.first.0, recovery.last.0), (1, 0));
    assert_eq!(log.end(), Position(0));
    assert_eq!(writer.append(&records(1, 3)).unwrap(), Position(3));
    assert_eq!(writer.append(&[]).unwrap(), Position(3));
    // More than a frame.
    assert_eq!(writer.append(&records(4, 2000)).unwrap(), Position(2000));
    assert_eq!(log.end(), Position(2000));
    assert_eq!(read_all(&log), range(1, 2000));
    let mut reader = log.reader(Position(1500));
    assert_eq!(read(&mut reader), range(1501, 2000));
    assert_eq!(read(&mut reader), range(1, 0));
    writer.append(&records(2001, 2001)).unwrap();
    assert_eq!(read(&mut reader), [2001]);
}

#[test]
fn reading_stops_at_the_number_asked_for() {
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(4096, 0);
    writer.append(&records(1, 10)).unwrap();
    let mut reader = log.reader(Position(2));
    let mut taken = Vec::new();
    assert_eq!(reader.read(3, |at, _| taken.push(at.0)).unwrap(), 3);
    assert_eq!(reader.read(0, |at, _| taken.push(at.0)).unwrap(), 0);
    assert_eq!(reader.read(99, |at, _| taken.push(at.0)).unwrap(), 5);
    assert_eq!(taken, range(3, 10));
}

#[test]
fn numbers_go_on_after_a_restart() {
    let folder = Folder::new();
    folder.write(4096, &[(1, 3), (4, 5)]);
    let (mut writer, log, recovery) = folder.open(4096, 2);
    assert_eq!((recovery.first.0, recovery.last.0), (3, 5));
    assert_eq!(recovery.records, 3);
    assert_eq!(recovery.findings, []);
    assert_eq!(writer.append(&records(6, 6)).unwrap(), Position(6));
    assert_eq!(read(&mut log.reader(Position(2))), range(3, 6));
}

#[test]
fn restarts_without_records_leave_no_files() {
    let folder = Folder::new();
    for _ in 0..3 {
        let recovery = folder.recover(0);
        assert_eq!(recovery.findings, []);
    }
    assert_eq!(folder.files(".journal").len(), 0);
}

#[test]
fn rollover_and_drop_leave_what_the_database_lacks() {
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(300, 0);
    for n in 1..=20 {
        writer.append(&[record(n)]).unwrap();
    }
    assert_eq!(read_all(&log), range(1, 20));
    let all = folder.files(".journal").len();
    assert!(all > 5, "{all} segments");
    let bytes = log.bytes();
    log.drop_through(Position(10)).unwrap();
    assert!(log.bytes() < bytes);
    assert_eq!(read(&mut log.reader(Position(10))), range(11, 20));
    log.drop_through(Position(20)).unwrap();
    assert_eq!(folder.files(".journal").len(), 1, "the one being written");
    writer.append(&[record(21)]).unwrap();
    assert_eq!(read(&mut log.reader(Position(20))), [21]);
    drop((writer, log));

    let (_writer, log, recovery) = folder.open(300, 21);
    assert_eq!((recovery.records, recovery.last.0), (0, 21));
    log.drop_through(Position(21)).unwrap();
    assert_eq!(folder.files(".journal").len(), 0);
}

#[test]
fn applied_segments_are_deleted_on_opening() {
    let folder = Folder::new();
    folder.write(300, &[(1, 2), (3, 4), (5, 6), (7, 8)]);
    let recovery = folder.recover(6);
    assert_eq!((recovery.first.0, recovery.records), (7, 2));
    assert_eq!(recovery.findings, []);
    assert_eq!(folder.files(".journal"), [folder.segment(7)]);
}

#[test]
fn an_append_larger_than_a_segment_is_whole() {
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(4096, 0);
    writer.append(&records(1, 2)).unwrap();
    writer.append(&records(3, 5000)).unwrap();
    writer.append(&records(5001, 5001)).unwrap();
    assert_eq!(read_all(&log), range(1, 5001));
    drop((writer, log));
    let (_writer, log, _) = folder.open(4096, 0);
    assert_eq!(read_all(&log), range(1, 5001));
}

#[test]
fn readers_follow_while_another_thread_writes() {
    const LAST: u64 = 5000;
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(10_000, 0);
    let syncer = writer.syncer();
    let follow = |dropping: bool| {
        let log = log.clone();
        move || {
            let mut reader = log.reader(Position(0));
            let mut last = 0;
            while last < LAST {
                let read = reader.read(100, |position, found| {
                    assert_eq!(position.0, last + 1);
                    assert_eq!(*found, record(position.0));
                    last += 1;
                });
                read.unwrap();
                if dropping {
                    log.drop_through(Position(last)).unwrap();
                }
                thread::yield_now();
            }
        }
    };
    let reading = thread::spawn(follow(true));
    let writing = thread::spawn(move || {
        let mut first = 1;
        while first <= LAST {
            let last = (first + first % 90).min(LAST);
            writer.append(&records(first, last)).unwrap();
            first = last + 1;
        }
    });
    while !writing.is_finished() {
        let before = log.end();
        assert!(syncer.sync().unwrap() >= before);
    }
    writing.join().unwrap();
    reading.join().unwrap();
}

#[test]
fn only_the_owner_reads_the_files() {
    let folder = Folder::new();
    let mut options = folder.options(4096);
    options.dir = folder.path().join("data/journal");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (mut writer, _, _) = persister::journal::open(options.clone(), Position(0)).unwrap();
    writer.append(&records(1, 1)).unwrap();
    assert_eq!(mode(options.dir.clone()), 0o700);
    for entry in fs::read_dir(&options.dir).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let folder = Folder::new();
    let (writer, log, _) = folder.open(4096, 0);
    assert!(matches!(folder.error(), OpenError::InUse { .. }));
    drop((writer, log));
    folder.recover(0);
}
