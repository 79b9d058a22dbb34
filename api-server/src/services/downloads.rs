//! The .torrent that a member's client takes: their own announce URL is in it.

use store::NewToken;
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
    let torrent = found.id;
    let token = NewToken {
        user: caller.user.id,
        label: LABEL.to_owned(),
        torrent: Some(torrent),
        created_at: site.now(),
        expires_at: None,
    };
    let key = tokens::one_of_its_kind(site, &token).await?;
    let stored = site.store.metainfo(torrent).await?;
    let file = for_member(&stored, &site.announce_url(&key)).map_err(|error| {
        tracing::error!(%error, torrent = torrent.0, "a stored .torrent can't be read");
        Problem::INTERNAL
    })?;
    let name = found.name;
    Ok(Download { name, file })
}
