//! Announce tokens and API keys: what a member gives to their clients and bots.

use serde::{Deserialize, Serialize};
use store::{ApiKey, ApiKeyId, NewApiKey, NewToken, Store, StoreError, User};
use tracker_core::ids::{InfoHash, TokenId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};
use tracker_core::registry::TorrentStatus;
use utoipa::ToSchema;

use crate::caller::LoggedIn;
use crate::credentials::{Secret, digest, write_api_key};
use crate::names;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::scope::{Scope, Scopes};
use crate::site::Site;
use crate::time::Time;

/// API keys that one member has at most: the list is short, and each is a way in.
const API_KEYS_MAX: u32 = 50;

/// Announce tokens that one member has at most that open every torrent, and as many for each one torrent: a client has one.
const TOKENS_MAX: u32 = 50;

/// An announce token to be.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenRequest {
    /// What its owner calls it.
    #[schema(max_length = 64, example = "seedbox")]
    pub label: String,
    /// The only torrent it opens: 40 hex digits. All, if not given.
    #[schema(
        pattern = "^[0-9A-Fa-f]{40}$",
        example = "c9e15763f722f23e98a29decdfae341b98d53056"
    )]
    pub info_hash: Option<String>,
    /// Seconds until it expires. Never, if not given.
    #[schema(minimum = 1, example = 86400)]
    pub expires_in: Option<u32>,
}

/// A fresh announce token. Its text is shown this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FreshToken {
    /// Its number.
    pub id: u32,
    /// What stands in the announce URL.
    pub token: String,
    /// What goes into a client.
    #[schema(example = "https://tracker.example.org/announce/AQAAAAEAAAAB…")]
    pub announce_url: String,
    /// When it stops working; `null`: never.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// An announce token, as its owner sees it later.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Its number.
    pub id: u32,
    /// What its owner calls it.
    pub label: String,
    /// The only torrent it opens; `null`: all.
    #[schema(required)]
    pub info_hash: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it stops working; `null`: never.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// An API key to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// What its owner calls it.
    #[schema(max_length = 64, example = "Prowlarr")]
    pub label: String,
    /// What it may do.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// Seconds until it expires. Never, if not given.
    #[schema(minimum = 1)]
    pub expires_in: Option<u32>,
}

/// A fresh API key. Its text is shown this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FreshApiKey {
    /// Its number.
    pub id: u32,
    /// To be sent as `Authorization: Bearer …`, or as `apikey=` to Torznab and RSS.
    #[schema(example = "purser_1_5d0c3e1f…")]
    pub api_key: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops working; `null`: never.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// An API key, as its owner sees it later.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiKeyView {
    /// Its number.
    pub id: u32,
    /// What its owner calls it.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Time,
    /// When it stops working; `null`: never.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// A token is signed once its row is there.
pub(crate) async fn create(
    site: &Site,
    user: &User,
    asked: TokenRequest,
) -> Result<FreshToken, Problem> {
    let now = site.now();
    let mut wrong = Problem::INVALID;
    if let Err(right) = names::check_label(&asked.label) {
        wrong = wrong.and("label", right);
    }
    let expires_at = expiry(now, asked.expires_in);
    if let Err(right) = expires_at {
        wrong = wrong.and("expires_in", right);
    }
    let hash = asked.info_hash.as_deref().map(str::parse::<InfoHash>);
    if let Some(Err(_)) = hash {
        wrong = wrong.and("info_hash", "40 hex digits");
    }
    wrong.unless_none()?;
    let torrent = match hash {
        Some(Ok(hash)) => {
            let found = site.store.find_torrent(&hash).await?;
            let none = || Problem::invalid("info_hash", "a registered torrent's");
            // Whether there is one that may not be seen, nobody learns here.
            let open = found.filter(|torrent| torrent.status == TorrentStatus::Open);
            Some(open.ok_or_else(none)?.id)
        }
        _ => None,
    };
    let expires_at = expires_at.unwrap_or_default();
    let new = NewToken {
        user: user.id,
        label: asked.label,
        torrent,
        created_at: now,
        expires_at,
    };
    let id = site.store.create_one_of_tokens(&new, TOKENS_MAX).await?;
    let id = id.ok_or_else(|| {
        let torrents = torrent.map_or("all torrents", |_| "this torrent");
        Problem::CONFLICT.detail(format!(
            "you have {TOKENS_MAX} announce tokens for {torrents}: revoke one first"
        ))
    })?;
    let token = text(&site.token_key, &new, id, expires_at);
    Ok(FreshToken {
        id: id.0,
        announce_url: site.announce_url(&token),
        token,
        expires_at: expires_at.map(Time),
    })
}

/// Writes a token down and signs it: the operator's, of whom nobody counts them.
///
/// # Errors
///
/// When the database can't take it.
pub async fn sign(
    store: &Store,
    key: &TokenKey,
    new: &NewToken,
) -> Result<(TokenId, String), StoreError> {
    let id = store.create_token(new).await?;
    Ok((id, text(key, new, id, new.expires_at)))
}

/// The one token of a member's that goes by this label for one torrent.
pub(crate) async fn one_of_its_kind(site: &Site, new: &NewToken) -> Result<String, StoreError> {
    let (id, expires_at) = site.store.find_or_create_token(new).await?;
    Ok(text(&site.token_key, new, id, expires_at))
}

/// What stands in an announce URL.
fn text(key: &TokenKey, new: &NewToken, id: TokenId, expires_at: Option<UnixTime>) -> String {
    key.sign(&Token {
        id,
        user: new.user,
        torrent: new.torrent,
        expires_at,
    })
}

pub(crate) async fn list(
    site: &Site,
    user: UserId,
    paging: &Paging,
) -> Result<Page<TokenView>, Problem> {
    let (limit, cursor) = paging.read::<1>()?;
    let after = cursor.map_or(Ok(0), |[after]| u32::try_from(after));
    let after =
        after.map_err(|_| Problem::invalid("cursor", "the `next` of a page of this list"))?;
    let rows = site.store.tokens(user, after, limit + 1).await?;
    Ok(Page::new(
        rows,
        limit,
        |row| [row.id.0.into()],
        |row| TokenView {
            id: row.id.0,
            label: row.label,
            info_hash: row.torrent.map(|hash| hash.to_string()),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Time),
        },
    ))
}

pub(crate) async fn revoke(site: &Site, user: UserId, id: u32) -> Result<(), Problem> {
    let now = site.now();
    Ok(site.store.revoke_own_token(user, TokenId(id), now).await?)
}

pub(crate) async fn create_api_key(
    site: &Site,
    caller: &LoggedIn,
    asked: ApiKeyRequest,
) -> Result<FreshApiKey, Problem> {
    let now = site.now();
    let mut wrong = Problem::INVALID;
    if let Err(right) = names::check_label(&asked.label) {
        wrong = wrong.and("label", right);
    }
    if asked.scopes.is_empty() {
        wrong = wrong.and("scopes", "one at least");
    }
    let expires_at = expiry(now, asked.expires_in);
    if let Err(right) = expires_at {
        wrong = wrong.and("expires_in", right);
    }
    wrong.unless_none()?;
    let expires_at = expires_at.unwrap_or_default();
    let secret: Secret = rand::random();
    let scopes = Scopes::new(asked.scopes);
    let new = NewApiKey {
        user: caller.user.id,
        login: caller.login,
        label: asked.label,
        digest: digest(&secret),
        scopes: scopes.write(),
        created_at: now,
        expires_at,
    };
    let created = site.store.create_api_key(&new, API_KEYS_MAX).await;
    let id = created.map_err(|error| match error {
        // It ended a moment ago.
        StoreError::NotFound { what: "login" } => Problem::UNAUTHENTICATED,
        error => error.into(),
    })?;
    let id = id.ok_or_else(|| {
        Problem::CONFLICT.detail(format!(
            "you have {API_KEYS_MAX} API keys: revoke one first"
        ))
    })?;
    Ok(FreshApiKey {
        id: id.0,
        api_key: write_api_key(id, &secret),
        scopes: scopes.list(),
        expires_at: expires_at.map(Time),
    })
}

pub(crate) async fn api_keys(site: &Site, user: UserId) -> Result<Page<ApiKeyView>, Problem> {
    let keys = site.store.api_keys(user).await?;
    Ok(Page {
        results: keys.into_iter().map(ApiKeyView::from).collect(),
        next: None,
    })
}

pub(crate) async fn revoke_api_key(site: &Site, user: UserId, id: u32) -> Result<(), Problem> {
    let now = site.now();
    Ok(site.store.revoke_api_key(user, ApiKeyId(id), now).await?)
}

/// The upper bound is 2106, when 32 bits of seconds end.
pub(crate) fn expiry(now: UnixTime, secs: Option<u32>) -> Result<Option<UnixTime>, &'static str> {
    match secs {
        None => Ok(None),
        Some(0) => Err("1 or more"),
        Some(secs) => {
            let end = now.0.checked_add(secs).ok_or("it would end after 2106")?;
            Ok(Some(UnixTime(end)))
        }
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            label: key.label,
            scopes: Scopes::read(&key.scopes).list(),
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Time),
        }
    }
}
