//! `/api/admin/ip-blocks/` and `/api/admin/client-rules/`: who may announce from where, and with what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Admin, Staff};
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::gate::{self, ClientRuleRequest, ClientRuleView, IpBlockRequest, IpBlockView};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_ip_blocks, create_ip_block))
        .routes(routes!(delete_ip_block))
        .routes(routes!(list_client_rules, create_client_rule))
        .routes(routes!(delete_client_rule))
}

/// Networks that may not announce, newest first. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/ip-blocks/",
    tag = "admin",
    params(Paging),
    responses((status = 200, body = Page<IpBlockView>))
)]
async fn list_ip_blocks(
    State(site): State<Site>,
    _: Staff,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<IpBlockView>>, Problem> {
    Ok(Json(gate::ip_blocks(&site, &paging).await?))
}

/// Block a network: trackers refuse it within two seconds, over HTTP and UDP. Who is in a swarm stays there until their next
/// announce would have been due. The API itself stays open to it. 10,000 at most. For admins.
#[utoipa::path(
    post,
    path = "/api/admin/ip-blocks/",
    tag = "admin",
    request_body = IpBlockRequest,
    responses((status = 201, description = "It is blocked", body = IpBlockView))
)]
async fn create_ip_block(
    State(site): State<Site>,
    Admin(caller): Admin,
    Body(asked): Body<IpBlockRequest>,
) -> Result<Created<IpBlockView>, Problem> {
    Ok(Created(gate::block(&site, &caller.user, asked).await?))
}

/// Let a network announce again. For admins.
#[utoipa::path(
    delete,
    path = "/api/admin/ip-blocks/{id}/",
    tag = "admin",
    params(("id" = i64, Path, description = "The block's number")),
    responses((status = 204, description = "Deleted"))
)]
async fn delete_ip_block(
    State(site): State<Site>,
    Admin(caller): Admin,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    gate::unblock(&site, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which torrent clients may and may not announce, newest rule first. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/client-rules/",
    tag = "admin",
    params(Paging),
    responses((status = 200, body = Page<ClientRuleView>))
)]
async fn list_client_rules(
    State(site): State<Site>,
    _: Staff,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<ClientRuleView>>, Problem> {
    Ok(Json(gate::client_rules(&site, &paging).await?))
}

/// Add a rule about torrent clients; trackers follow it within two seconds. To allow some clients alone, deny the empty
/// `peer_id_prefix` and allow longer ones. 10,000 at most. For admins.
#[utoipa::path(
    post,
    path = "/api/admin/client-rules/",
    tag = "admin",
    request_body = ClientRuleRequest,
    responses((status = 201, description = "It holds", body = ClientRuleView))
)]
async fn create_client_rule(
    State(site): State<Site>,
    Admin(caller): Admin,
    Body(asked): Body<ClientRuleRequest>,
) -> Result<Created<ClientRuleView>, Problem> {
    let made = gate::add_client_rule(&site, &caller.user, asked).await?;
    Ok(Created(made))
}

/// Take a rule back. For admins.
#[utoipa::path(
    delete,
    path = "/api/admin/client-rules/{id}/",
    tag = "admin",
    params(("id" = i64, Path, description = "The rule's number")),
    responses((status = 204, description = "Deleted"))
)]
async fn delete_client_rule(
    State(site): State<Site>,
    Admin(caller): Admin,
    Named(id): Named<i64>,
) -> Result<StatusCode, Problem> {
    gate::delete_client_rule(&site, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
