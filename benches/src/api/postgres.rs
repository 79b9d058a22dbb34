//! What a Postgres on this machine has used: its processes together, and those that have ended.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ledger::database::Database;

/// A tick of the kernel's counters, as programs see them: always a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// A Postgres that others should not be busy with meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Postgres {
    /// The parent of all its processes.
    postmaster: u32,
}

impl Postgres {
    /// The one behind a connection.
    pub(super) async fn of(database: &mut Database) -> Result<Self> {
        let backend = database
            .numbers("select cast(pg_backend_pid() as bigint)")
            .await?;
        let backend = backend.first().copied().unwrap_or_default();
        let stat = Stat::read(&backend.to_string());
        let stat = stat.context("Postgres isn't on this machine")?;
        Ok(Self {
            postmaster: stat.parent,
        })
    }

    /// CPU time of all its processes so far.
    pub(super) fn cpu(self) -> Result<Duration> {
        let own = Stat::read(&self.postmaster.to_string()).context("Postgres has ended")?;
        let mut ticks = own.ticks + own.ticks_of_ended_children;
        for process in fs::read_dir("/proc")? {
            let name = process?.file_name();
            let stat = name.to_str().and_then(Stat::read);
            if let Some(child) = stat.filter(|stat| stat.parent == self.postmaster) {
                ticks += child.ticks;
            }
        }
        Ok(TICK * ticks)
    }
}

struct Stat {
    parent: u32,
    ticks: u32,
    ticks_of_ended_children: u32,
}

impl Stat {
    /// `None`: there is no such process any more, or it is none.
    fn read(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may have some itself. Then come the state, which is field 3, and numbers.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        Some(Self {
            parent: field(4)?,
            ticks: field(14)? + field(15)?,
            ticks_of_ended_children: field(16)? + field(17)?,
        })
    }
}
