//! How many files, and so connections, the system lets the process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that [`raise_open_files`] can reach. `None`: no limit.
pub(crate) fn open_files_at_most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Takes what is allowed: shells and systemd start programs with 1024, and allow far more. What is then in force;
/// `None`: no limit.
pub(crate) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
