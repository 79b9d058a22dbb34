//! `purser create-token`: another announce URL for a member, if need be for one torrent or for some time only.

use anyhow::{Context, Result};
use serde_json::json;
use store::{NewToken, Store};
use tracker_core::ids::{TokenId, TorrentId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};

use super::{block_on, find_member, open_store, print, print_json, site_key};
use crate::cli::CreateToken;
use crate::config::Config;

const LABEL: &str = "from the operator";

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
        let signed = sign_new(&store, &key, user.id, LABEL, torrent, expires_at).await?;
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

/// Writes a token down and signs it.
pub(super) async fn sign_new(
    store: &Store,
    key: &TokenKey,
    user: UserId,
    label: &str,
    torrent: Option<TorrentId>,
    expires_at: Option<UnixTime>,
) -> Result<(TokenId, String)> {
    let new = NewToken {
        user,
        label: label.to_owned(),
        torrent,
        created_at: UnixTime::now(),
        expires_at,
    };
    let id = store.create_token(&new).await?;
    let token = Token {
        id,
        user,
        torrent,
        expires_at,
    };
    Ok((id, key.sign(&token)))
}
