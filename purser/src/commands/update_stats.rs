//! `purser update-stats`: what is counted now and then is counted now.

use anyhow::Result;
use serde_json::json;

use super::{block_on, open_store, print_json};
use crate::config::Config;

pub(crate) fn run(config: &Config, json: bool) -> Result<()> {
    let torrents = block_on(async {
        let store = open_store(config).await?;
        let torrents = store.count_peers().await?;
        store.close().await;
        Ok(torrents)
    })?;
    if json {
        return print_json(&json!({ "torrents_changed": torrents }));
    }
    eprintln!("seeders and leechers counted: {torrents} torrents had others");
    Ok(())
}
