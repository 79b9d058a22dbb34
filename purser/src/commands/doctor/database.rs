//! Is the database there, and does it have the schema that this program knows?

use std::path::PathBuf;

use anyhow::Result;
use persister::journal::JournalId;
use persister::lanes::Lanes;
use store::{Store, StoreError};

use super::Finding;
use crate::config::Config;

const NAME: &str = "database";

/// Opening a SQLite file makes it, so a missing one isn't opened.
pub(super) async fn look(config: &Config) -> Result<Finding> {
    let shown = config.database_url.redacted();
    let url = config.database_url.expose();
    if is_missing(url) {
        return Ok(Finding::ok(NAME, format!("{shown}: will be created")));
    }
    let found = match Store::open(url).await {
        Ok(store) => {
            let found = store.check().await;
            store.close().await;
            found
        }
        Err(error) => Err(error),
    };
    Ok(match found {
        Ok(()) => Finding::ok(NAME, format!("{shown}: answers, schema up to date")),
        Err(StoreError::OlderSchema { found, known }) => Finding::warn(
            NAME,
            format!("{shown}: schema {found} will be migrated to {known} by the next start"),
        ),
        Err(error) => Finding::fail(NAME, format!("{shown}: {error}")),
    })
}

/// How far it has brought in that journal. `None`: it doesn't say.
pub(super) async fn mark(config: &Config, journal: JournalId) -> Option<u64> {
    let url = config.database_url.expose();
    if is_missing(url) {
        return Some(0);
    }
    let store = Store::open(url).await.ok()?;
    let applied = Lanes::glimpse(&store, &journal.to_string()).await;
    store.close().await;
    Some(applied.ok()?.0)
}

fn is_missing(url: &str) -> bool {
    sqlite_file(url).is_some_and(|file| !file.exists())
}

/// `sqlite:data/purser.db?mode=rw` and `sqlite://data/purser.db` name one file.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    Some(path.split('?').next().unwrap_or_default().into())
}
