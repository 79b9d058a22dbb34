//! `purser create-user`: a member, and the URL to announce to.

use anyhow::{Context, Result};
use api_server::services::tokens;
use serde_json::json;
use store::{NewUser, UserRole};
use tracker_core::ids::UnixTime;

use super::create_token::first_token;
use super::{
    block_on, hash_password, open_store, password_from_stdin, print, print_json, site_key,
};
use crate::cli::CreateUser;
use crate::config::Config;

pub(crate) fn run(config: &Config, args: &CreateUser, json: bool) -> Result<()> {
    let password = password_from_stdin(args.password_stdin)?;
    let password_hash = password.as_deref().map(hash_password).transpose()?;
    let new = NewUser {
        username: args.username.0.clone(),
        email: None,
        password_hash,
        role: UserRole::Member,
        class: args.class.0,
        passkey: args.passkey.as_ref().map(|passkey| passkey.0),
        created_at: UnixTime::now(),
    };
    let (id, announce_key) = block_on(async {
        let store = open_store(config).await?;
        let key = site_key(config, &store).await?;
        let id = store
            .create_user(&new)
            .await
            .with_context(|| new.username.clone())?;
        let announce_key = match new.passkey {
            Some(passkey) => hex::encode(passkey),
            None => tokens::sign(&store, &key, &first_token(id)).await?.1,
        };
        store.close().await;
        Ok((id, announce_key))
    })?;
    let url = config.announce_url(&announce_key);
    if json {
        let result = json!({ "id": id.0, "username": new.username, "user_class": new.class.name(), "announce_url": url });
        return print_json(&result);
    }
    print(&format!("{url}\n"))
}
