//! A journal cut anywhere: a prefix of its frames remains, and it goes on behind them.

use std::fs::{self, File};

use persister::journal::{Finding, Position};
use proptest::prelude::*;

use super::{Folder, lines, range, read_all, record, records};

const FRAMES: [(u64, u64); 4] = [(1, 2), (3, 3), (4, 6), (7, 7)];

/// Where each frame ends in a single segment, with the last position in it. The header comes first.
fn ends() -> Vec<(u64, u64)> {
    let mut at = 32;
    let mut ends = vec![(32, 0)];
    for (first, last) in FRAMES {
        let records = (first..=last).map(|n| if n % 4 == 0 { 75 } else { 63 });
        at += 20 + records.sum::<u64>();
        ends.push((at, last));
    }
    ends
}

#[test]
fn cut_at_any_byte_the_whole_frames_remain() {
    let original = Folder::new();
    original.write(4096, &FRAMES);
    let bytes = fs::read(original.segment(1)).unwrap();
    let ends = ends();
    let content = ends.last().unwrap().0 as usize;
    for cut in 0..=content {
        for set_aside in [0, 500] {
            let folder = Folder::new();
            let mut left = bytes[..cut].to_vec();
            left.resize(cut + set_aside, 0);
            fs::write(folder.segment(1), left).unwrap();

            let (mut writer, log, recovery) = folder.open(4096, 0);
            let at_or_before = |&&(end, _): &&(u64, u64)| end <= cut as u64;
            let (end, last) = ends.iter().rfind(at_or_before).copied().unwrap_or((0, 0));
            assert_eq!(recovery.last.0, last, "cut at {cut}");
            assert_eq!(recovery.records, last);
            let clean = cut as u64 == end;
            assert_eq!(
                recovery.findings.is_empty(),
                clean,
                "cut at {cut}: {:?}",
                lines(&recovery)
            );
            if cut > 32 {
                let torn = |f: &Finding| matches!(f, Finding::TornTail { bytes, .. } if bytes.start == end);
                assert!(recovery.findings.iter().all(torn));
                assert!(!recovery.findings.iter().any(Finding::is_serious));
                assert_eq!(folder.files(".damaged").len(), 0);
            }
            assert_eq!(read_all(&log), range(1, last), "cut at {cut}");

            writer.append(&records(last + 1, last + 2)).unwrap();
            drop((writer, log));
            let (_writer, log, recovery) = folder.open(4096, 0);
            assert_eq!(recovery.findings, []);
            assert_eq!(read_all(&log), range(1, last + 2), "cut at {cut}");
        }
    }
}

#[test]
fn garbage_at_the_end_is_kept_aside_and_never_appended_to() {
    let folder = Folder::new();
    folder.write(4096, &FRAMES);
    let mut bytes = fs::read(folder.segment(1)).unwrap();
    let end = ends().last().unwrap().0 as usize;
    bytes[end..end + 200].fill(0xee);
    fs::write(folder.segment(1), &bytes).unwrap();

    let (mut writer, log, recovery) = folder.open(4096, 0);
    let [line] = &lines(&recovery)[..] else {
        panic!("{:?}", lines(&recovery));
    };
    assert!(
        line.contains(&format!("bytes {end} to {} are damaged", end + 199)),
        "{line}"
    );
    assert_eq!(fs::read(&folder.files(".damaged")[0]).unwrap(), bytes);
    writer.append(&records(8, 8)).unwrap();
    assert_eq!(read_all(&log), range(1, 8));
    assert_eq!(
        folder.files(".journal"),
        [folder.segment(1), folder.segment(8)]
    );
}

/// A segment that goes is emptied first.
#[test]
fn a_segment_half_deleted_is_no_finding() {
    let folder = Folder::new();
    folder.write(300, &[(1, 2), (3, 4)]);
    fs::write(folder.segment(1), "").unwrap();
    let recovery = folder.recover(2);
    assert_eq!((recovery.findings.len(), recovery.records), (0, 2));
    assert_eq!(folder.files(".journal"), [folder.segment(3)]);
    fs::write(folder.segment(3), "").unwrap();
    let recovery = folder.recover(4);
    assert_eq!((recovery.findings.len(), recovery.last.0), (0, 4));
    assert_eq!(folder.files(".journal").len(), 0);
}

#[test]
fn a_segment_set_aside_and_never_written_is_no_finding() {
    let folder = Folder::new();
    folder.write(4096, &[(1, 2)]);
    for len in [0, 4096] {
        File::create(folder.segment(3))
            .unwrap()
            .set_len(len)
            .unwrap();
        let recovery = folder.recover(0);
        assert_eq!((recovery.last.0, recovery.findings.len()), (2, 0));
        assert_eq!(folder.files(".journal"), [folder.segment(1)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Several segments; the last one that remains is cut.
    #[test]
    fn random_appends_and_a_random_cut_leave_a_prefix(
        appends in prop::collection::vec(1..30_u64, 1..20),
        segment_bytes in 200..5000_u64,
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = Folder::new();
        let (mut writer, _, _) = folder.open(segment_bytes, 0);
        let mut lasts = vec![0];
        for count in appends {
            let last = lasts[lasts.len() - 1];
            writer.append(&(last + 1..=last + count).map(record).collect::<Vec<_>>()).unwrap();
            lasts.push(last + count);
        }
        drop(writer);
        let segments = folder.files(".journal");
        let total = segments.iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
        let mut cut = cut.index(total as usize) as u64;
        for path in segments {
            let len = fs::metadata(&path).unwrap().len();
            File::options().write(true).open(&path).unwrap().set_len(len.min(cut)).unwrap();
            cut -= len.min(cut);
        }

        let (mut writer, log, recovery) = folder.open(segment_bytes, 0);
        let last = recovery.last.0;
        prop_assert!(lasts.contains(&last), "{last} of {lasts:?}");
        prop_assert_eq!(read_all(&log), range(1, last));
        writer.append(&[record(last + 1)]).unwrap();
        prop_assert_eq!(log.end(), Position(last + 1));
        prop_assert_eq!(read_all(&log), range(1, last + 1));
    }
}
