//! Disks that really refuse. Limits on files and mounts hold for a whole process, so such a test runs itself again, in a
//! process of its own.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "JOURNAL_TEST_CHILD";

/// Runs the named test alone, able to [`limit_files`]; `true` in that process.
pub(crate) fn in_a_process_of_its_own(name: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let mut shell = Command::new("sh");
    // Writing beyond the limit comes with a signal, too.
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    run_again(shell, name, "");
    false
}

/// No file may grow beyond this, nor be written there.
pub(crate) fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

/// Runs the named test alone, where a folder is a disk of so many bytes; that folder in that process.
pub(crate) fn on_a_disk_of(bytes: u64, name: &str) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(CHILD) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size={bytes} none \"${CHILD}\" && exec \"$0\" \"$@\"");
    shell.args(["--map-root-user", "--mount", "sh", "-c", &script]);
    run_again(shell, name, folder.path().to_str().unwrap());
    None
}

fn run_again(mut shell: Command, name: &str, child: &str) {
    let output = shell
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(CHILD, child)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
