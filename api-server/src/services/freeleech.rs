//! Freeleech tokens that members hold, and use for a torrent.

use serde::{Deserialize, Serialize};
use store::{FreeleechToken, TokenUse};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::shop::open_torrent;
use crate::site::Site;
use crate::time::Time;

/// A freeleech token of yours.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FreeleechTokenView {
    /// Its number: later ones are higher.
    pub id: i64,
    /// How long it frees a torrent, once it is used.
    pub hours: u32,
    /// When you bought it.
    pub bought_at: Time,
    /// From when on it can't be used any more; `null`: it can for ever.
    #[schema(required)]
    pub expires_at: Option<Time>,
    /// Where you used it; `null`: you hold it.
    #[schema(required, example = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a")]
    pub info_hash: Option<String>,
    /// From when on downloads there don't count; `null`: you hold it.
    #[schema(required)]
    pub starts_at: Option<Time>,
    /// From when on they do again; `null`: you hold it.
    #[schema(required)]
    pub ends_at: Option<Time>,
}

/// For what a token is used.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseRequest {
    /// An open torrent's.
    #[schema(example = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a")]
    pub info_hash: String,
}

pub(crate) async fn list(
    site: &Site,
    caller: &Caller,
    paging: &Paging,
) -> Result<Page<FreeleechTokenView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let user = caller.user.id;
    let rows = site.store.freeleech_tokens(user, before, limit + 1).await?;
    Ok(Page::new(rows, limit, |row| [row.id], Into::into))
}

pub(crate) async fn use_one(
    site: &Site,
    caller: &Caller,
    token: i64,
    asked: &UseRequest,
) -> Result<FreeleechTokenView, Problem> {
    let torrent = open_torrent(site, caller, &asked.info_hash).await?;
    let (user, now) = (caller.user.id, site.now());
    let used = site.store.use_freeleech_token(user, token, torrent, now);
    match used.await? {
        TokenUse::Done(token) => Ok(token.into()),
        TokenUse::NotTheirs => Err(Problem::NOT_FOUND.detail("you have no such token")),
        TokenUse::Used => Err(Problem::CONFLICT.detail("this token is used already")),
        TokenUse::Expired => Err(Problem::CONFLICT.detail("this token has expired")),
        TokenUse::FreeUntil(_) => Err(still_free()),
    }
}

pub(super) fn still_free() -> Problem {
    Problem::CONFLICT.detail("a token of yours for this torrent hasn't ended yet")
}

impl From<FreeleechToken> for FreeleechTokenView {
    fn from(token: FreeleechToken) -> Self {
        let used = token.used;
        Self {
            id: token.id,
            hours: token.hours,
            bought_at: token.bought_at.into(),
            expires_at: token.expires_at.map(Time),
            info_hash: used.map(|used| used.info_hash.to_string()),
            starts_at: used.map(|used| used.starts_at.into()),
            ends_at: used.map(|used| used.ends_at.into()),
        }
    }
}
