//! Writes that really fail. A limit on file size is the only full disk that needs no privileges; it holds for a whole
//! process, so these tests run themselves in one of their own.

use std::env;
use std::io;
use std::process::Command;

use persister::journal::{OpenError, Options, Position, Pressure, open};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Folder, range, read_all, records};

const CHILD: &str = "JOURNAL_TEST_CHILD";

/// Runs the named test alone, with the signal that comes with the limit ignored; `true` in that process.
fn in_a_process_of_its_own(name: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    false
}

/// No file may grow beyond this, nor be written there.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

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
        error.contains("can't set room aside for the journal in"),
        "{error}"
    );
}

#[test]
fn a_directory_that_cannot_be_is_told_on_opening() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
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
