//! How large the journal gets, and what it says meanwhile.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use persister::journal::{Log, Options, Position, Pressure, Writer, open};

use super::{Folder, range, read, read_all, record, records};

const SEGMENT: u64 = 4096;
const LIMIT: u64 = 4 * SEGMENT;

fn limited(folder: &Folder) -> (Writer, Log) {
    let options = Options {
        limit_bytes: LIMIT,
        ..folder.options(SEGMENT)
    };
    let (writer, log, _) = open(options, Position(0)).unwrap();
    (writer, log)
}

#[test]
fn pressure_rises_with_what_is_written_until_appends_fail() {
    let folder = Folder::new();
    let (mut writer, log) = limited(&folder);
    let mut rises = vec![(0, writer.pressure())];
    let error = loop {
        let next = log.end().0 + 1;
        if let Err(error) = writer.append(&[record(next)]) {
            break error;
        }
        let pressure = writer.pressure();
        if rises[rises.len() - 1].1 != pressure {
            rises.push((next, pressure));
        }
        assert!(log.bytes() <= LIMIT + 2 * SEGMENT);
    };
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    let last = log.end().0;
    let [
        (0, Pressure::Free),
        (tight, Pressure::Tight),
        (full, Pressure::Full),
    ] = rises[..]
    else {
        panic!("{rises:?}");
    };
    let share = |n: u64| n as f64 / last as f64;
    assert!(
        (share(tight) - 0.6).abs() < 0.05,
        "3/4 of 4/5: {}",
        share(tight)
    );
    assert!((share(full) - 0.8).abs() < 0.05, "4/5: {}", share(full));
    assert_eq!(read_all(&log), range(1, last));

    log.drop_through(Position(last)).unwrap();
    assert_eq!(writer.pressure(), Pressure::Free);
    writer.append(&records(last + 1, last + 9)).unwrap();
    assert_eq!(
        read(&mut log.reader(Position(last))),
        range(last + 1, last + 9)
    );
}

#[test]
fn a_full_journal_opens_and_can_be_emptied() {
    let folder = Folder::new();
    let (mut writer, log) = limited(&folder);
    while writer.append(&[record(log.end().0 + 1)]).is_ok() {}
    let last = log.end().0;
    drop((writer, log));
    let (mut writer, log) = limited(&folder);
    assert_eq!(writer.pressure(), Pressure::Full);
    assert_eq!(read_all(&log), range(1, last));
    log.drop_through(Position(last)).unwrap();
    assert_eq!(writer.pressure(), Pressure::Free);
    writer.append(&[record(last + 1)]).unwrap();
}

#[test]
fn bytes_are_what_the_files_take_on_disk() {
    let folder = Folder::new();
    let (mut writer, log, _) = folder.open(1 << 20, 0);
    writer.append(&records(1, 3)).unwrap();
    let files = folder
        .files(".journal")
        .into_iter()
        .chain(folder.files(".spare"));
    let metadata: Vec<_> = files.map(|path| fs::metadata(path).unwrap()).collect();
    assert_eq!(
        metadata.iter().map(|file| file.len()).sum::<u64>(),
        log.bytes()
    );
    assert_eq!(log.bytes(), 2 << 20);
    let on_disk = metadata.iter().map(|file| file.blocks() * 512).sum::<u64>();
    assert!(on_disk >= log.bytes(), "set aside: {on_disk}");
}
