//! `/api/user/invites/` and who brought whom.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tracker_core::ids::UserId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Caller, Staff};
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::invites::{self, InviteRequest, InviteTree, InviteView};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_invites, create_invite))
        .routes(routes!(revoke_invite))
        .routes(routes!(invite_tree))
        .routes(routes!(invite_tree_of))
}

/// Your invite codes, newest first, with those that are used, revoked or expired.
#[utoipa::path(
    get,
    path = "/api/user/invites/",
    tag = "user",
    params(Paging),
    responses((status = 200, body = Page<InviteView>))
)]
async fn list_invites(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<InviteView>>, Problem> {
    Ok(Json(invites::list(&site, caller.user.id, &paging).await?))
}

/// A fresh invite code, out of your `invites`. Staff need none left.
#[utoipa::path(
    post,
    path = "/api/user/invites/",
    tag = "user",
    request_body = InviteRequest,
    responses((status = 201, description = "It is good from now on", body = InviteView))
)]
async fn create_invite(
    State(site): State<Site>,
    caller: Caller,
    Body(asked): Body<InviteRequest>,
) -> Result<Created<InviteView>, Problem> {
    Ok(Created(invites::create(&site, &caller, asked).await?))
}

/// Revoke an invite code that nobody has used. What it took from your `invites` comes back.
#[utoipa::path(
    delete,
    path = "/api/user/invites/{code}/",
    tag = "user",
    params(("code" = String, Path, description = "The code")),
    responses((status = 204, description = "Revoked"))
)]
async fn revoke_invite(
    State(site): State<Site>,
    caller: Caller,
    Named(code): Named<String>,
) -> Result<StatusCode, Problem> {
    invites::revoke(&site, caller.user.id, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom you brought, and whom those brought: ten levels and a thousand members at most.
#[utoipa::path(get, path = "/api/user/invite-tree/", tag = "user", responses((status = 200, body = InviteTree)))]
async fn invite_tree(
    State(site): State<Site>,
    caller: Caller,
) -> Result<Json<InviteTree>, Problem> {
    Ok(Json(invites::tree(&site, caller.user.id).await?))
}

/// Whom a member brought, and whom those brought. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}/invite-tree/",
    tag = "admin",
    params(("id" = u32, Path, description = "The member's number")),
    responses((status = 200, body = InviteTree))
)]
async fn invite_tree_of(
    State(site): State<Site>,
    _: Staff,
    Named(id): Named<u32>,
) -> Result<Json<InviteTree>, Problem> {
    let found = site.store.user(UserId(id)).await?;
    let user = found.ok_or(Problem::NOT_FOUND)?;
    Ok(Json(invites::tree(&site, user.id).await?))
}
