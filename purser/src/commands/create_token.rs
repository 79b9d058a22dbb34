//! `purser create-token`: another announce URL for a member, if need be for one torrent or for some time only.

use anyhow::{Context, Result};
use api_server::services::tokens;
use serde_json::json;
use store::NewToken;
use tracker_core::ids::{UnixTime, UserId};

use super::{block_on, find_member, open_store, print, print_json, site_key};
use crate::cli::CreateToken;
use crate::config::Config;

const LABEL: &str = "from the operator";

/// What a member's first token is called.
const FIRST_LABEL: &str = "default";

pub(crate) fn run(config: &Config, args: &CreateToken, json: bool) -> Result<()> {
    let expires_at = args.expires_in.map(expiry).transpose()?;
    let (id, token) = block_on(async {
        let store = open_store(config).await?;
        let key = site_key(config, &store).await?;
        let user = find_member(&store, &args.user).await?;
        let torrent = match args.torrent {
            Some(hash) => {
                let found = store.find_torrent(&hash).await?;
                Some(
                    found
                        .with_context(|| format!("{hash}: there is no such torrent"))?
                        .id,
                )
            }
            None => None,
        };
        let new = NewToken {
            user: user.id,
            label: LABEL.to_owned(),
            torrent,
            created_at: UnixTime::now(),
            expires_at,
        };
        let signed = tokens::sign(&store, &key, &new).await?;
        store.close().await;
        Ok(signed)
    })?;
    let url = config.announce_url(&token);
    if json {
        let expires_at = expires_at
            .map(|at| jiff::Timestamp::from_second(at.0.into()))
            .transpose()?;
        return print_json(
            &json!({ "id": id.0, "token": token, "announce_url": url, "expires_at": expires_at.map(|at| at.to_string()) }),
        );
    }
    print(&format!("{url}\n"))
}

fn expiry(secs: u32) -> Result<UnixTime> {
    let at = UnixTime::now().0.checked_add(secs);
    at.map(UnixTime).with_context(|| {
        format!("--expires-in {secs}: ends after 2106, which is as far as tokens go")
    })
}

/// A member's first token, as the operator makes it.
pub(super) fn first_token(user: UserId) -> NewToken {
    NewToken {
        user,
        label: FIRST_LABEL.to_owned(),
        torrent: None,
        created_at: UnixTime::now(),
        expires_at: None,
    }
}
