//! Flipped bits, missing files, other journals' files: what is whole is read, and what isn't is said.

use std::fs;

use persister::journal::{Finding, JournalId, OpenError, Position, open};

use super::{Folder, lines, range, read, read_all, records, without_folder};

const FRAMES: [(u64, u64); 4] = [(1, 2), (3, 3), (4, 6), (7, 7)];

#[test]
fn a_flipped_byte_costs_its_own_frame_alone() {
    let original = Folder::new();
    original.write(1000, &FRAMES);
    let bytes = fs::read(original.segment(1)).unwrap();
    let content = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    // Where the frames begin, with the positions in them.
    let frames = [(32, 1, 2), (178, 3, 3), (261, 4, 6), (482, 7, 7)];
    for at in 0..content {
        let flip = [1, 0x10, 0x80, 0xff][at % 4];
        let folder = Folder::new();
        let mut flipped = bytes.clone();
        flipped[at] ^= flip;
        fs::write(folder.segment(1), &flipped).unwrap();
        let (mut writer, log, recovery) = folder.open(1000, 0);
        let hit = frames.iter().rfind(|(start, ..)| *start <= at);
        let mut expected = range(1, 7);
        if let Some((_, first, last)) = hit {
            expected.retain(|position| !(*first..=*last).contains(position));
        }
        let context = || format!("byte {at} ^ {flip:#x}: {:#?}", lines(&recovery));
        assert_eq!(read_all(&log), expected, "{}", context());
        assert!(
            recovery.findings.iter().any(Finding::is_serious) || at >= 482,
            "{}",
            context()
        );
        assert!(!recovery.findings.is_empty());
        let kept = folder.files(".damaged");
        if let [kept] = &kept[..] {
            assert_eq!(fs::read(kept).unwrap(), flipped, "{}", context());
        } else {
            assert!(at >= 482, "{}", context());
        }
        let next = recovery.last.0 + 1;
        writer.append(&records(next, next)).unwrap();
        drop((writer, log));

        let (_writer, log, again) = folder.open(1000, 0);
        expected.push(next);
        assert_eq!(read_all(&log), expected, "{}", context());
        let gaps = |f: &Finding| matches!(f, Finding::Hole { .. } | Finding::BeginsLate { .. });
        assert!(again.findings.iter().all(gaps), "{:?}", lines(&again));
    }
}

#[test]
fn damage_is_told_with_bytes_positions_and_the_copy() {
    let folder = Folder::new();
    folder.write(1000, &FRAMES);
    let mut bytes = fs::read(folder.segment(1)).unwrap();
    bytes[300] ^= 4;
    fs::write(folder.segment(1), &bytes).unwrap();
    let recovery = folder.recover(0);
    assert_eq!(
        without_folder(&folder, &recovery),
        [
            "00000000000000000001.journal: bytes 261 to 481 are damaged; the records around them were taken, and the \
             file as it was is kept as 00000000000000000001.journal.damaged",
            "the 3 announces at positions 4 to 6 are lost: the journal has them no more, and the database doesn't have \
             them; sessions that go on make up for it",
        ]
    );
    assert_eq!(
        (recovery.first.0, recovery.last.0, recovery.records),
        (1, 7, 4)
    );
}

#[test]
fn what_the_database_has_is_not_missed() {
    let folder = Folder::new();
    folder.write(1000, &FRAMES);
    let mut bytes = fs::read(folder.segment(1)).unwrap();
    bytes[300] ^= 4;
    fs::write(folder.segment(1), &bytes).unwrap();
    let recovery = folder.recover(6);
    assert_eq!((recovery.first.0, recovery.records), (7, 1));
    assert!(matches!(recovery.findings[..], [Finding::Damaged { .. }]));
}

#[test]
fn frames_that_stand_twice_are_read_once() {
    let folder = Folder::new();
    folder.write(1000, &FRAMES);
    let bytes = fs::read(folder.segment(1)).unwrap();
    let mut doubled = bytes[..261].to_vec();
    doubled.extend_from_slice(&bytes[32..482]);
    doubled.extend_from_slice(&bytes[32..565]);
    fs::write(folder.segment(1), doubled).unwrap();
    let (_writer, log, recovery) = folder.open(1000, 0);
    assert_eq!(recovery.findings, []);
    assert_eq!(recovery.records, 7);
    assert_eq!(read_all(&log), range(1, 7));
    assert_eq!(read(&mut log.reader(Position(2))), range(3, 7));
}

#[test]
fn a_segment_under_a_wrong_name_adds_nothing() {
    for wrong in [2, 50] {
        let folder = Folder::new();
        folder.write(300, &[(1, 2), (3, 4), (5, 6)]);
        fs::copy(folder.segment(3), folder.segment(wrong)).unwrap();
        let (_writer, log, recovery) = folder.open(300, 0);
        assert_eq!(
            read_all(&log),
            range(1, 6),
            "{wrong}: {:?}",
            lines(&recovery)
        );
        assert_eq!(recovery.last.0, 6);
        assert!(matches!(
            recovery.findings[..],
            [Finding::Unreadable { .. }]
        ));
    }
}

#[test]
fn another_journals_segment_is_moved_aside() {
    let folder = Folder::new();
    let mut options = folder.options(300);
    options.id = JournalId([0xab; 8]);
    let (mut writer, log, _) = open(options, Position(0)).unwrap();
    writer.append(&records(1, 2)).unwrap();
    drop((writer, log));
    let (mut writer, log, recovery) = folder.open(300, 0);
    assert_eq!(
        without_folder(&folder, &recovery),
        [
            "00000000000000000001.journal: belongs to another journal, whose journal.id begins with abababababababab; \
          not read, and kept as 00000000000000000001.journal.foreign"
        ]
    );
    assert_eq!(recovery.last, Position(0));
    writer.append(&records(1, 1)).unwrap();
    assert_eq!(read_all(&log), [1]);
    assert_eq!(folder.files(".foreign").len(), 1);
}

#[test]
fn another_journals_frames_are_not_read_under_a_damaged_header() {
    let folder = Folder::new();
    let mut options = folder.options(300);
    options.id = JournalId([0xab; 8]);
    let (mut writer, log, _) = open(options, Position(0)).unwrap();
    writer.append(&records(1, 2)).unwrap();
    drop((writer, log));
    let mut bytes = fs::read(folder.segment(1)).unwrap();
    bytes[0] ^= 1;
    fs::write(folder.segment(1), bytes).unwrap();
    let recovery = folder.recover(0);
    assert_eq!(recovery.records, 0);
    assert!(matches!(
        recovery.findings[..],
        [Finding::Unreadable { .. }]
    ));
}

#[test]
fn a_newer_programs_segment_stops_the_opening_with_nothing_touched() {
    let folder = Folder::new();
    folder.write(300, &[(1, 2), (3, 4)]);
    let mut bytes = fs::read(folder.segment(3)).unwrap();
    bytes[8] = 2;
    let sum = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(folder.segment(3), bytes).unwrap();
    // Something that recovery would mend.
    fs::write(folder.segment(1), b"torn").unwrap();
    let error = folder.error();
    assert!(matches!(error, OpenError::Newer { version: 2, .. }));
    assert!(
        error
            .to_string()
            .contains("00000000000000000003.journal is of format 2")
    );
    assert_eq!(fs::read(folder.segment(1)).unwrap(), b"torn");
}

#[test]
fn a_missing_segment_is_a_hole() {
    let folder = Folder::new();
    folder.write(300, &[(1, 2), (3, 4), (5, 6)]);
    fs::remove_file(folder.segment(3)).unwrap();
    let (_writer, log, recovery) = folder.open(300, 0);
    assert_eq!(
        lines(&recovery),
        [
            "the 2 announces at positions 3 to 4 are lost: the journal has them no more, and the database doesn't have \
          them; sessions that go on make up for it"
        ]
    );
    assert_eq!(read_all(&log), [1, 2, 5, 6]);
    assert_eq!(recovery.records, 4);
}

/// Cutting a failed write off failed as well, and the next segment took its positions.
#[test]
fn what_a_failed_write_left_is_not_read() {
    let folder = Folder::new();
    folder.write(1000, &[(1, 2), (3, 6)]);
    let elsewhere = Folder::new();
    let (mut writer, _, _) = elsewhere.open(1000, 2);
    writer.append(&records(3, 4)).unwrap();
    fs::copy(elsewhere.segment(3), folder.segment(3)).unwrap();
    let (_writer, log, recovery) = folder.open(1000, 0);
    assert_eq!(read_all(&log), range(1, 4));
    assert!(matches!(
        recovery.findings[..],
        [Finding::FailedWrite { .. }]
    ));
}

#[test]
fn a_database_from_an_old_backup_is_told_what_it_lacks() {
    let folder = Folder::new();
    folder.write(300, &[(1, 2), (3, 4), (5, 6)]);
    fs::remove_file(folder.segment(1)).unwrap();
    fs::remove_file(folder.segment(3)).unwrap();
    let (_writer, log, recovery) = folder.open(300, 1);
    assert_eq!(
        lines(&recovery),
        [
            "the database has the announces up to position 1, and the journal begins at 5: those between are lost, \
          unless a newer backup of the database has them; sessions that go on make up for it"
        ]
    );
    assert_eq!(read(&mut log.reader(Position(1))), [5, 6]);
}

#[test]
fn a_database_ahead_of_the_journal_sets_the_next_number() {
    let folder = Folder::new();
    assert_eq!(folder.recover(10).findings, []);
    folder.write(300, &[(1, 2)]);
    let (mut writer, log, recovery) = folder.open(300, 10);
    assert_eq!(
        lines(&recovery),
        [
            "the database has the announces up to position 10, and the journal ends at 2, as after a power cut; nothing \
          is missing"
        ]
    );
    assert_eq!(writer.append(&records(11, 12)).unwrap(), Position(12));
    assert_eq!(read(&mut log.reader(Position(10))), [11, 12]);
    drop((writer, log));
    let recovery = folder.recover(10);
    assert_eq!((recovery.findings.len(), recovery.records), (0, 2));
}
