//! The .torrent that a member's client takes: their own announce URL is in it.

use tracker_core::key::Token;
use tracker_core::metainfo::for_member;
use utoipa::ToSchema;

use super::{tokens, torrents};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::site::Site;

/// What its owner sees such a token called.
const LABEL: &str = "download";

/// The .torrent itself, for the document.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it is only there to be named")]
pub(crate) struct TorrentFile(Vec<u8>);

/// A .torrent, and the name that it is saved under.
pub(crate) struct Download {
    pub(crate) name: String,
    pub(crate) file: Vec<u8>,
}

/// With the token that the last download had, as long as that is good: a member who downloads often has no more tokens
/// than torrents.
pub(crate) async fn download(
    site: &Site,
    caller: &Caller,
    hash: &str,
) -> Result<Download, Problem> {
    let found = torrents::find(site, caller, hash).await?.listed;
    let (user, torrent) = (caller.user.id, found.id);
    let known = site
        .store
        .find_token(user, torrent, LABEL, site.now())
        .await?;
    let key = match known {
        Some((id, expires_at)) => site.token_key.sign(&Token {
            id,
            user,
            torrent: Some(torrent),
            expires_at,
        }),
        None => {
            let label = LABEL.to_owned();
            tokens::sign(site, user, label, Some(torrent), None)
                .await?
                .1
        }
    };
    let stored = site.store.metainfo(torrent).await?;
    let file = for_member(&stored, &site.announce_url(&key)).map_err(|error| {
        tracing::error!(%error, torrent = torrent.0, "a stored .torrent can't be read");
        Problem::INTERNAL
    })?;
    let name = found.name;
    Ok(Download { name, file })
}
