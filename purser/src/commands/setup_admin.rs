//! `purser setup-admin`: an administrator who can log in, new or with a new password.

use anyhow::Result;
use api_server::passwords;
use serde_json::json;
use store::{NewUser, Store, UserRole};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::UserClass;

use super::{block_on, hash_password, open_store, password_from_stdin, print, print_json};
use crate::cli::SetupAdmin;
use crate::config::Config;

pub(crate) fn run(config: &Config, args: &SetupAdmin, json: bool) -> Result<()> {
    let (password, generated) = match password_from_stdin(args.password_stdin)? {
        Some(password) => (password, false),
        None => (passwords::generate(&mut rand::rng()), true),
    };
    let hash = hash_password(&password)?;
    let name = &args.username.0;
    let (id, created) = block_on(async {
        let store = open_store(config).await?;
        let done = create_or_reset(&store, name, hash).await?;
        store.close().await;
        Ok(done)
    })?;
    let shown = generated.then_some(password);
    if json {
        return print_json(
            &json!({ "id": id.0, "username": name, "password": shown, "created": created }),
        );
    }
    let what = if created {
        "is an administrator now"
    } else {
        "is an administrator with a new password now"
    };
    eprintln!("{name} {what}");
    match shown {
        Some(password) => {
            eprintln!("the password, shown this once:");
            print(&format!("{password}\n"))
        }
        None => Ok(()),
    }
}

/// `true`: there was nobody of that name.
pub(crate) async fn create_or_reset(
    store: &Store,
    name: &str,
    password_hash: String,
) -> Result<(UserId, bool)> {
    if let Some(user) = store.find_user(name).await? {
        store
            .set_password_and_role(user.id, &password_hash, UserRole::Admin, UnixTime::now())
            .await?;
        return Ok((user.id, false));
    }
    let new = NewUser {
        username: name.to_owned(),
        email: None,
        password_hash: Some(password_hash),
        role: UserRole::Admin,
        class: UserClass::Newbie,
        passkey: None,
        created_at: UnixTime::now(),
    };
    Ok((store.create_user(&new).await?, true))
}
