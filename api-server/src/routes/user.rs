//! `/api/user/`: a member's own account, announce tokens and API keys.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Caller, LoggedIn};
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::account::{self, Profile, ProfileChange, StatsView};
use crate::services::hit_and_runs::{self, HitAndRunView};
use crate::services::logs::{self, AnnounceView};
use crate::services::notifications::{
    self, NotificationQuery, NotificationView, Read, ReadRequest,
};
use crate::services::tokens::{
    self, ApiKeyRequest, ApiKeyView, FreshApiKey, FreshToken, TokenRequest, TokenView,
};
use crate::site::Site;
use crate::throttle::{self, Address};

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(profile, change_profile))
        .routes(routes!(stats))
        .routes(routes!(list_hit_and_runs))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(list_api_keys, create_api_key))
        .routes(routes!(revoke_api_key))
        .routes(routes!(announces))
        .routes(routes!(notifications))
        .routes(routes!(read_notifications))
}

/// Your account.
#[utoipa::path(get, path = "/api/user/profile/", tag = "user", responses((status = 200, body = Profile)))]
async fn profile(caller: Caller) -> Json<Profile> {
    Json(caller.user.into())
}

/// Change your email address, your password, or whether you want mail. The first two need the password as it is; a new one
/// ends every login, this one too, and every API key. Announce tokens stay.
#[utoipa::path(
    patch,
    path = "/api/user/profile/",
    tag = "user",
    request_body = ProfileChange,
    responses((status = 200, description = "As it is now", body = Profile))
)]
async fn change_profile(
    State(site): State<Site>,
    Extension(address): Extension<Address>,
    caller: LoggedIn,
    Body(change): Body<ProfileChange>,
) -> Result<Json<Profile>, Problem> {
    if change.current_password.is_some() {
        throttle::allow_login(&site, address, &caller.user.username).await?;
    }
    Ok(Json(account::change(&site, &caller.user, change).await?))
}

/// What the tracker has counted for you.
#[utoipa::path(get, path = "/api/user/stats/", tag = "user", responses((status = 200, body = StatsView)))]
async fn stats(State(site): State<Site>, caller: Caller) -> Result<Json<StatsView>, Problem> {
    Ok(Json(account::stats(&site, &caller.user).await?))
}

/// Torrents you took and haven't given back yet, the oldest first: what it takes, and until when. Seeding for `missing_secs`
/// does it, or uploading `missing_bytes`, or the shop.
#[utoipa::path(
    get,
    path = "/api/user/hit-and-runs/",
    tag = "user",
    params(Paging),
    responses((status = 200, body = Page<HitAndRunView>))
)]
async fn list_hit_and_runs(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<HitAndRunView>>, Problem> {
    let page = hit_and_runs::list(&site, caller.user.id, &paging).await?;
    Ok(Json(page))
}

/// What each of your clients last announced, and what became of it; the latest first.
#[utoipa::path(
    get,
    path = "/api/user/announces/",
    tag = "user",
    params(Paging),
    responses((status = 200, body = Page<AnnounceView>))
)]
async fn announces(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<AnnounceView>>, Problem> {
    Ok(Json(logs::announces(&site, caller.user.id, &paging).await?))
}

/// What you are told, newest first.
#[utoipa::path(
    get,
    path = "/api/user/notifications/",
    tag = "user",
    params(NotificationQuery, Paging),
    responses((status = 200, body = Page<NotificationView>))
)]
async fn notifications(
    State(site): State<Site>,
    caller: Caller,
    Asked(asked): Asked<NotificationQuery>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<NotificationView>>, Problem> {
    let page = notifications::list(&site, caller.user.id, &asked, &paging).await?;
    Ok(Json(page))
}

/// Say what you have read.
#[utoipa::path(
    post,
    path = "/api/user/notifications/read/",
    tag = "user",
    request_body = ReadRequest,
    responses((status = 200, description = "How many were new to you", body = Read))
)]
async fn read_notifications(
    State(site): State<Site>,
    caller: Caller,
    Body(asked): Body<ReadRequest>,
) -> Result<Json<Read>, Problem> {
    let read = notifications::read(&site, caller.user.id, &asked).await?;
    Ok(Json(read))
}

/// Your announce tokens, oldest first, without those that are revoked.
#[utoipa::path(
    get,
    path = "/api/user/tokens/",
    tag = "user",
    params(Paging),
    responses((status = 200, body = Page<TokenView>))
)]
async fn list_tokens(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<TokenView>>, Problem> {
    Ok(Json(tokens::list(&site, caller.user.id, &paging).await?))
}

/// A fresh announce URL. The token is shown this once. You have at most 50 that open every torrent, and 50 for each one
/// torrent, until you revoke some.
#[utoipa::path(
    post,
    path = "/api/user/tokens/",
    tag = "user",
    request_body = TokenRequest,
    responses((status = 201, description = "It announces from now on", body = FreshToken))
)]
async fn create_token(
    State(site): State<Site>,
    caller: Caller,
    Body(asked): Body<TokenRequest>,
) -> Result<Created<FreshToken>, Problem> {
    Ok(Created(tokens::create(&site, &caller.user, asked).await?))
}

/// Revoke an announce token: trackers refuse it within two seconds.
#[utoipa::path(
    delete,
    path = "/api/user/tokens/{id}/",
    tag = "user",
    params(("id" = u32, Path, description = "The token's number")),
    responses((status = 204, description = "Revoked"))
)]
async fn revoke_token(
    State(site): State<Site>,
    caller: Caller,
    Named(id): Named<u32>,
) -> Result<StatusCode, Problem> {
    tokens::revoke(&site, caller.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Your API keys, without those that are revoked.
#[utoipa::path(get, path = "/api/user/api-keys/", tag = "user", responses((status = 200, body = Page<ApiKeyView>)))]
async fn list_api_keys(
    State(site): State<Site>,
    caller: Caller,
) -> Result<Json<Page<ApiKeyView>>, Problem> {
    Ok(Json(tokens::api_keys(&site, caller.user.id).await?))
}

/// A key for a bot or a feed reader, with as little as it needs. It is shown this once. Needs a login. You have 50 at most.
#[utoipa::path(
    post,
    path = "/api/user/api-keys/",
    tag = "user",
    request_body = ApiKeyRequest,
    responses((status = 201, description = "It is good from now on", body = FreshApiKey))
)]
async fn create_api_key(
    State(site): State<Site>,
    caller: LoggedIn,
    Body(asked): Body<ApiKeyRequest>,
) -> Result<Created<FreshApiKey>, Problem> {
    let fresh = tokens::create_api_key(&site, &caller, asked).await?;
    Ok(Created(fresh))
}

/// Revoke an API key. Needs a login.
#[utoipa::path(
    delete,
    path = "/api/user/api-keys/{id}/",
    tag = "user",
    params(("id" = u32, Path, description = "The key's number")),
    responses((status = 204, description = "Revoked"))
)]
async fn revoke_api_key(
    State(site): State<Site>,
    caller: LoggedIn,
    Named(id): Named<u32>,
) -> Result<StatusCode, Problem> {
    tokens::revoke_api_key(&site, caller.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
