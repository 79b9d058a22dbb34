//! What the system lets the process have: open files, and so connections; and whose turn is first.

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

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

/// From now on this thread lets announces go first where they share a core with it: what it does can wait for a moment,
/// and a client that waits for its reply can tell. It still gets a quarter of a busy core.
pub(crate) fn let_announces_go_first() {
    // Linux counts it by thread. If it may not be, all go on as equals.
    let _ = nice(5);
}
