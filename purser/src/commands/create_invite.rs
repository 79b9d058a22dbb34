//! `purser create-invite`: codes with which people may register.

use anyhow::Result;
use api_server::passwords;
use serde_json::json;
use tracker_core::ids::UnixTime;

use super::{block_on, find_member, open_store, print, print_json};
use crate::cli::CreateInvite;
use crate::config::Config;

pub(crate) fn run(config: &Config, args: &CreateInvite, json: bool) -> Result<()> {
    let mut random = rand::rng();
    let codes: Vec<_> = (0..args.count)
        .map(|_| passwords::generate(&mut random))
        .collect();
    block_on(async {
        let store = open_store(config).await?;
        let by = match &args.by {
            Some(name) => Some(find_member(&store, name).await?.id),
            None => None,
        };
        store.create_invites(&codes, by, UnixTime::now()).await?;
        store.close().await;
        Ok(())
    })?;
    if json {
        let objects: Vec<_> = codes.iter().map(|code| json!({ "code": code })).collect();
        return print_json(&objects);
    }
    print(
        &codes
            .iter()
            .map(|code| format!("{code}\n"))
            .collect::<String>(),
    )
}
