//! Writes that really fail.

use std::fs;
use std::io;
use std::path::Path;

use persister::journal::{Log, OpenError, Options, Position, Pressure, Writer, open};

use super::own_process::{in_a_process_of_its_own, limit_files, on_a_disk_of};
use super::{Folder, range, read, read_all, record, records};

#[test]
fn a_failed_append_leaves_nothing_and_can_be_made_again() {
    if !in_a_process_of_its_own("failure::a_failed_append_leaves_nothing_and_can_be_made_again") {
        return;
    }
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(1 << 20, 0);
    writer.append(&records(1, 10)).unwrap();
    // Room for a frame and a half of the four that come.
    limit_files(Some(60_000));
    let error = writer.append(&records(101, 2100)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(log.end(), Position(10));
    assert_eq!(read_all(&log), range(1, 10));
    // The next segment was set aside, and one after it can't be.
    assert_eq!(writer.append(&records(11, 12)).unwrap(), Position(12));
    assert_eq!(writer.pressure(), Pressure::Tight);
    assert!(writer.append(&records(201, 2100)).is_err());
    assert_eq!(writer.pressure(), Pressure::Full);
    assert!(writer.append(&records(13, 13)).is_err());
    assert_eq!(read_all(&log), range(1, 12));

    limit_files(None);
    assert_eq!(writer.pressure(), Pressure::Free);
    assert_eq!(writer.append(&records(13, 2000)).unwrap(), Position(2000));
    writer.sync().unwrap();
    assert_eq!(read_all(&log), range(1, 2000));
    drop((writer, log));
    let (_writer, log, recovery) = folder.open(1 << 20, 0);
    assert_eq!(recovery.findings, []);
    assert_eq!(read_all(&log), range(1, 2000));
}

const SEGMENT: u64 = 64 << 10;

/// A journal on a disk with room for one segment and a half.
fn narrow(dir: &Path, applied: u64) -> (Writer, Log) {
    let options = Options {
        dir: dir.into(),
        ..Folder::new().options(SEGMENT)
    };
    let (writer, log, _) = open(options, Position(applied)).unwrap();
    (writer, log)
}

/// Appends until the journal says that it is full; returns the positions.
fn fill(writer: &mut Writer, log: &Log) -> Vec<u64> {
    let first = log.end().0 + 1;
    while writer.pressure() != Pressure::Full {
        writer.append(&[record(log.end().0 + 1)]).unwrap();
    }
    range(first, log.end().0)
}

#[test]
#[ignore = "needs unshare and mount, which scripts/test may use"]
fn a_disk_with_room_for_one_segment_does_while_the_database_keeps_up() {
    let name = "failure::a_disk_with_room_for_one_segment_does_while_the_database_keeps_up";
    let Some(dir) = on_a_disk_of(SEGMENT * 3 / 2, name) else {
        return;
    };
    let (mut writer, log) = narrow(&dir, 0);
    // It holds the file that it has gone through.
    let mut reader = log.reader(Position(0));
    for _ in 0..3 {
        assert_eq!(writer.pressure(), Pressure::Free);
        let written = fill(&mut writer, &log);
        assert!(written.len() > 300, "half a segment: {}", written.len());
        assert_eq!(read(&mut reader), written);
        log.drop_through(Position(log.end().0 - 1)).unwrap();
        assert_eq!(writer.pressure(), Pressure::Full);
        log.drop_through(log.end()).unwrap();
    }
    // Last words go on coming, and the database has everything only between two of them.
    let written = fill(&mut writer, &log);
    assert_eq!(read(&mut reader), written);
    log.drop_through(log.end()).unwrap();
    writer.append(&[record(log.end().0 + 1)]).unwrap();
    assert_eq!(writer.pressure(), Pressure::Tight);
    assert_eq!(read(&mut reader), [log.end().0]);
}

#[test]
#[ignore = "needs unshare and mount, which scripts/test may use"]
fn a_segment_written_to_its_end_makes_room_once_the_database_has_it() {
    let name = "failure::a_segment_written_to_its_end_makes_room_once_the_database_has_it";
    let Some(dir) = on_a_disk_of(SEGMENT * 3 / 2, name) else {
        return;
    };
    let (mut writer, log) = narrow(&dir, 0);
    let mut reader = log.reader(Position(0));
    for _ in 0..3 {
        let first = log.end().0 + 1;
        let error = loop {
            if let Err(error) = writer.append(&[record(log.end().0 + 1)]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.pressure(), Pressure::Full);
        assert_eq!(read(&mut reader), range(first, log.end().0));
        log.drop_through(log.end()).unwrap();
    }
    assert_eq!(writer.pressure(), Pressure::Free);
}

#[test]
#[ignore = "needs unshare and mount, which scripts/test may use"]
fn a_full_disk_is_opened_so_that_the_database_can_make_room() {
    let name = "failure::a_full_disk_is_opened_so_that_the_database_can_make_room";
    let Some(dir) = on_a_disk_of(SEGMENT * 3 / 2, name) else {
        return;
    };
    let (mut writer, log) = narrow(&dir, 0);
    let written = fill(&mut writer, &log);
    let last = log.end();
    drop((writer, log));
    let (mut writer, log) = narrow(&dir, 0);
    assert_eq!(writer.pressure(), Pressure::Full);
    assert!(writer.append(&[record(last.0 + 1)]).is_err());
    assert_eq!(read_all(&log), written);
    drop((writer, log));
    // Or has made it before.
    let (mut writer, log) = narrow(&dir, last.0);
    assert_eq!(writer.pressure(), Pressure::Free);
    writer.append(&[record(last.0 + 1)]).unwrap();
    assert_eq!(read_all(&log), [last.0 + 1]);
}

#[test]
fn a_disk_without_room_is_told_on_opening() {
    if !in_a_process_of_its_own("failure::a_disk_without_room_is_told_on_opening") {
        return;
    }
    let folder = Folder::new();
    limit_files(Some(60_000));
    let error = folder_error(folder.options(1 << 20));
    limit_files(None);
    assert!(
        error.contains("can't set aside the room for a segment in"),
        "{error}"
    );
}

#[test]
fn a_directory_that_cannot_be_is_told_on_opening() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let options = Options {
        dir: file.join("journal"),
        ..folder.options(4096)
    };
    let error = folder_error(options);
    assert!(error.contains("can't make the directory"), "{error}");
}

fn folder_error(options: Options) -> String {
    let error = open(options, Position(0)).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }));
    error.to_string()
}
