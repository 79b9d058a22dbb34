//! `/api/admin/policies/`: what bytes count.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Admin, Staff};
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::policies::{self, PolicyRequest, PolicyView};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_policies, create_policy))
        .routes(routes!(end_policy))
}

/// Freeleech and upload factors that hold, held or will, newest first. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/policies/",
    tag = "admin",
    params(Paging),
    responses((status = 200, body = Page<PolicyView>))
)]
async fn list_policies(
    State(site): State<Site>,
    _: Staff,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<PolicyView>>, Problem> {
    Ok(Json(policies::list(&site, &paging).await?))
}

/// Make downloads count less or uploads more, for everybody, a class, a torrent or a member. An announce that spans its
/// start or end is split there, in proportion to time. Two for the same at the same time are refused. For admins.
#[utoipa::path(
    post,
    path = "/api/admin/policies/",
    tag = "admin",
    request_body = PolicyRequest,
    responses((status = 201, description = "It holds from its start on", body = PolicyView))
)]
async fn create_policy(
    State(site): State<Site>,
    Admin(caller): Admin,
    Body(asked): Body<PolicyRequest>,
) -> Result<Created<PolicyView>, Problem> {
    Ok(Created(policies::create(&site, &caller.user, asked).await?))
}

/// End a policy now. One that hasn't begun is deleted; what held stays in the list. For admins.
#[utoipa::path(
    delete,
    path = "/api/admin/policies/{id}/",
    tag = "admin",
    params(("id" = i64, Path, description = "The policy's number")),
    responses((status = 204, description = "It no longer holds"))
)]
async fn end_policy(
    State(site): State<Site>,
    Admin(caller): Admin,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    policies::end(&site, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
