//! A database without an administrator gets one, so that there is somebody who can log in.

use anyhow::{Context, Result};
use api_server::passwords;
use api_server::services::tokens;
use store::Store;
use tracker_core::key::TokenKey;

use crate::commands::create_token::first_token;
use crate::commands::hash_password;
use crate::commands::setup_admin::create_or_reset;

const NAME: &str = "admin";

/// Shown once, in the banner.
pub(super) struct Newcomer {
    pub(super) username: &'static str,
    pub(super) password: String,
    pub(super) token: String,
}

pub(super) async fn create_admin(store: &Store, key: &TokenKey) -> Result<Option<Newcomer>> {
    if store.has_admin().await? {
        return Ok(None);
    }
    let password = passwords::generate(&mut rand::rng());
    let to_hash = password.clone();
    let hash = tokio::task::spawn_blocking(move || hash_password(&to_hash))
        .await
        .context("hashing a password panicked")??;
    let (id, _) = create_or_reset(store, NAME, hash).await?;
    let (_, token) = tokens::sign(store, key, &first_token(id)).await?;
    Ok(Some(Newcomer {
        username: NAME,
        password,
        token,
    }))
}
