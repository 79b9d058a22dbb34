//! How many files this process may open: each connection is one.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As far as the system lets us; an error if that is less than what is wanted.
pub(crate) fn raise_open_files(wanted: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    ensure!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "{wanted} open files are wanted, and {:?} allowed: see ulimit -Hn",
        limit.maximum
    );
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}
