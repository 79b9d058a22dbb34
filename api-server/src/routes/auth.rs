//! `/api/auth/`: becoming a member, logging in and out.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::LoggedIn;
use crate::input::{Body, Created};
use crate::problem::Problem;
use crate::services::account::Newcomer;
use crate::services::auth::{self, Login, Refresh, Registration, Tokens};
use crate::site::Site;
use crate::throttle::{self, Address};

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
}

/// Become a member, with an invite code. The code is good once.
#[utoipa::path(
    post,
    path = "/api/auth/register/",
    tag = "auth",
    security(()),
    request_body = Registration,
    responses((status = 201, description = "A member", body = Newcomer))
)]
async fn register(
    State(site): State<Site>,
    Extension(address): Extension<Address>,
    Body(new): Body<Registration>,
) -> Result<Created<Newcomer>, Problem> {
    throttle::allow_registration(&site, address).await?;
    Ok(Created(auth::register(&site, new).await?.into()))
}

/// Log in. The access token is good for fifteen minutes, the login for thirty days after its last refresh.
#[utoipa::path(
    post,
    path = "/api/auth/login/",
    tag = "auth",
    security(()),
    request_body = Login,
    responses((status = 200, description = "Logged in", body = Tokens))
)]
async fn log_in(
    State(site): State<Site>,
    Extension(address): Extension<Address>,
    Body(login): Body<Login>,
) -> Result<Json<Tokens>, Problem> {
    throttle::allow_login(&site, address, &login.username).await?;
    Ok(Json(auth::log_in(&site, login).await?))
}

/// Take a refresh token for the next pair. Used a second time, it ends the login: one of the two who had it stole it.
#[utoipa::path(
    post,
    path = "/api/auth/refresh/",
    tag = "auth",
    security(()),
    request_body = Refresh,
    responses((status = 200, description = "The next pair", body = Tokens))
)]
async fn refresh(
    State(site): State<Site>,
    Body(asked): Body<Refresh>,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(auth::refresh(&site, &asked.refresh).await?))
}

/// Log out: neither token of this login is good any more.
#[utoipa::path(
    post,
    path = "/api/auth/logout/",
    tag = "auth",
    responses((status = 204, description = "Logged out"))
)]
async fn log_out(State(site): State<Site>, caller: LoggedIn) -> Result<StatusCode, Problem> {
    auth::log_out(&site, caller.login).await?;
    Ok(StatusCode::NO_CONTENT)
}
