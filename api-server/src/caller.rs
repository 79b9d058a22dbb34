//! Who calls, and what they may do.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use store::{LoginId, User, UserRole};
use subtle::ConstantTimeEq;
use tracker_core::registry::MemberStatus;

use crate::credentials::read_api_key;
use crate::problem::Problem;
use crate::scope::{Scope, Scopes};
use crate::site::Site;
use crate::throttle::{Counted, allow_member};

/// A member who has shown an access token, or an API key that may do this: `read` for GET, `write` for the rest.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) via: Via,
}

/// What they have shown.
#[derive(Clone, Debug)]
pub(crate) enum Via {
    Login(LoginId),
    ApiKey(Scopes),
}

/// A caller who has logged in: what an API key may never do, as making another.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    pub(crate) user: User,
    pub(crate) login: LoginId,
}

/// A caller who may add torrents.
#[derive(Clone, Debug)]
pub(crate) struct Uploader(pub(crate) Caller);

/// A caller who fetches a .torrent: to an API key that reads feeds, that is reading too.
#[derive(Clone, Debug)]
pub(crate) struct Downloader(pub(crate) Caller);

/// An API key that nobody has looked at yet: `apikey=`, as programs send it that know of no headers, or else a bearer.
#[derive(Clone)]
pub(crate) struct ShownKey {
    pub(crate) key: Option<String>,
    pub(crate) counted: Counted,
}

/// A caller who moderates.
#[derive(Clone, Debug)]
pub(crate) struct Staff(
    #[allow(dead_code, reason = "what staff do so far is the same whoever does it")]
    pub(crate)  Caller,
);

/// A caller who may do everything.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

impl Caller {
    pub(crate) fn is_at_least(&self, role: UserRole) -> bool {
        self.user.role >= role
    }

    /// Whether they see and do what staff may, with what they have shown.
    pub(crate) fn is_staff(&self) -> bool {
        self.need(UserRole::Staff).is_ok()
    }

    fn need(&self, role: UserRole) -> Result<(), Problem> {
        match (&self.via, self.is_at_least(role)) {
            (Via::ApiKey(scopes), true) => scopes.need(Scope::Staff),
            (Via::Login(_), true) => Ok(()),
            (_, false) => Err(Problem::FORBIDDEN),
        }
    }
}

impl FromRequestParts<Site> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let scope = match parts.method.is_safe() {
            true => Scope::Read,
            false => Scope::Write,
        };
        read(parts, site, &[scope]).await
    }
}

/// An access token's member, or an API key's that has one of these scopes.
async fn read(parts: &Parts, site: &Site, scopes: &[Scope]) -> Result<Caller, Problem> {
    let shown = bearer(parts).ok_or(Problem::UNAUTHENTICATED)?;
    if let Some(login) = site.credentials.read_access(shown) {
        let found = site.store.login_user(login).await?;
        let user = found.ok_or(Problem::UNAUTHENTICATED)?;
        admit(site, &counted(parts), &user, false).await?;
        let via = Via::Login(login);
        return Ok(Caller { user, via });
    }
    by_api_key(site, shown, scopes, &counted(parts)).await
}

/// Every request has one: without, this counts for itself.
fn counted(parts: &Parts) -> Counted {
    let counted = parts.extensions.get::<Counted>();
    counted.cloned().unwrap_or_default()
}

fn bearer(parts: &Parts) -> Option<&str> {
    let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, shown) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(shown.trim())
}

/// `apikey=` of the query. No other path than a feed's and a download's looks for it, as addresses get about.
fn key_in_query(parts: &Parts) -> Option<String> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    let key = pairs.0.into_iter().find(|(name, _)| name == "apikey");
    key.map(|(_, key)| key)
}

/// The member whose API key this is, if it may do one of that.
pub(crate) async fn by_api_key(
    site: &Site,
    text: &str,
    needed: &[Scope],
    counted: &Counted,
) -> Result<Caller, Problem> {
    let (id, digest) = read_api_key(text).ok_or(Problem::UNAUTHENTICATED)?;
    let found = site.store.find_api_key(id).await?;
    let (key, user) = found.ok_or(Problem::UNAUTHENTICATED)?;
    let is_it = bool::from(key.digest.ct_eq(&digest));
    if !is_it || key.expires_at.is_some_and(|end| end <= site.now()) {
        return Err(Problem::UNAUTHENTICATED);
    }
    admit(site, counted, &user, true).await?;
    let scopes = Scopes::read(&key.scopes);
    scopes.need_one_of(needed)?;
    let via = Via::ApiKey(scopes);
    Ok(Caller { user, via })
}

async fn admit(site: &Site, counted: &Counted, user: &User, by_key: bool) -> Result<(), Problem> {
    match user.status {
        MemberStatus::Active => allow_member(site, counted, user, by_key).await,
        MemberStatus::Disabled => Err(Problem::DISABLED),
    }
}

impl FromRequestParts<Site> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let Caller { user, via } = Caller::from_request_parts(parts, site).await?;
        match via {
            Via::Login(login) => Ok(Self { user, login }),
            Via::ApiKey(_) => {
                Err(Problem::FORBIDDEN.detail("an API key can't do this: log in for it"))
            }
        }
    }
}

impl FromRequestParts<Site> for Uploader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, site).await?;
        match caller.is_at_least(UserRole::Uploader) {
            true => Ok(Self(caller)),
            false => Err(Problem::FORBIDDEN.detail("uploaders and staff add torrents")),
        }
    }
}

impl FromRequestParts<Site> for Downloader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let scopes = [Scope::Read, Scope::Feeds];
        let caller = match key_in_query(parts) {
            Some(key) => by_api_key(site, &key, &scopes, &counted(parts)).await?,
            None => read(parts, site, &scopes).await?,
        };
        Ok(Self(caller))
    }
}

impl FromRequestParts<Site> for ShownKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Site) -> Result<Self, Infallible> {
        let in_query = key_in_query(parts);
        Ok(Self {
            key: in_query.or_else(|| bearer(parts).map(ToOwned::to_owned)),
            counted: counted(parts),
        })
    }
}

impl FromRequestParts<Site> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, site).await?;
        caller.need(UserRole::Staff)?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Site> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, site).await?;
        caller.need(UserRole::Admin)?;
        Ok(Self(caller))
    }
}
