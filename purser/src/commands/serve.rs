//! Stub: see the lead's file.

use anyhow::{Result, bail};

use crate::config::Config;
use crate::{limits, logs, secrets};

/// Which parts run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All of them.
    All,
    /// Announce listeners and persister.
    Tracker,
    /// REST API, dashboard and jobs.
    Api,
}

pub(crate) fn run(config: Config, mode: Mode, json: bool) -> Result<()> {
    let _logs = logs::start(&config.log)?;
    let _lock = secrets::lock_data_dir(&config)?;
    limits::raise_open_files();
    bail!("not yet: {mode:?} {json} {:?}", config.tracker.http)
}
