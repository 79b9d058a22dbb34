//! `purser migrate`: the database gets the schema that this program knows.

use anyhow::Result;
use serde_json::json;
use store::StoreError;

use super::{block_on, open_unmigrated, print_json};
use crate::config::Config;

pub(crate) fn run(config: &Config, json: bool) -> Result<()> {
    let talk = block_on(async {
        let store = open_unmigrated(config).await?;
        let before = store.check().await;
        store.migrate().await?;
        store.close().await;
        Ok(match before {
            Err(StoreError::OlderSchema { found, known }) => {
                Some(format!("migrated from schema {found} to {known}"))
            }
            _ => None,
        })
    })?;
    if json {
        return print_json(&json!({ "migrated": talk.is_some() }));
    }
    eprintln!(
        "{}",
        talk.as_deref().unwrap_or("the database is up to date")
    );
    Ok(())
}
