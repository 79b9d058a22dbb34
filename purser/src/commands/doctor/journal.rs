//! How much is in the journal, how much of it the database lacks, and is there room for more?

use anyhow::Result;
use persister::journal::survey;

use super::{Finding, database, machine};
use crate::config::Config;
use crate::secrets;

use machine::MIB;

const NAME: &str = "journal";

/// Also beside a running tracker: nothing is locked.
pub(super) async fn look(config: &Config) -> Result<Finding> {
    let dir = config.data_dir.join("journal");
    let shown = dir.display();
    // Asking for the id would make one.
    if !config.data_dir.join("journal.id").exists() {
        return Ok(Finding::ok(NAME, format!("{shown}: will be created")));
    }
    let id = match secrets::journal_id(config) {
        Ok(id) => id,
        Err(error) => return Ok(Finding::fail(NAME, format!("{error:#}"))),
    };
    // Before the journal: what it gets in between is lacking, and never too much.
    let mark = database::mark(config, id).await;
    let found = match survey(&dir, id) {
        Ok(found) => found,
        Err(error) => return Ok(Finding::fail(NAME, error.to_string())),
    };
    let limit = u64::from(config.persister.journal_limit_mb) * MIB;
    let lacking = match mark.map(|mark| found.last.0.saturating_sub(mark)) {
        None => "how much of it the database has can't be asked".to_owned(),
        Some(0) => "the database has all of it".to_owned(),
        Some(1) => "the database lacks 1 announce".to_owned(),
        Some(records) => format!("the database lacks {records} announces"),
    };
    let detail = format!(
        "{shown}: {} MiB, at most {}; {lacking}",
        found.bytes / MIB,
        limit / MIB
    );
    let free = machine::free_bytes(machine::existing(&dir)).unwrap_or(u64::MAX);
    if free.saturating_add(found.bytes) < limit {
        let free = free / MIB;
        return Ok(Finding::warn(
            NAME,
            format!(
                "{detail}; the disk has only {free} MiB for the rest: lower persister.journal_limit_mb, or make room"
            ),
        ));
    }
    if found.kept_aside > 0 {
        let files = found.kept_aside;
        return Ok(Finding::warn(
            NAME,
            format!(
                "{detail}; files kept aside (.damaged, .foreign): {files}, yours to look at and delete"
            ),
        ));
    }
    Ok(Finding::ok(NAME, detail))
}
