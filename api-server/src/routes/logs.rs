//! `/api/logs/`: how the site is.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cache::Hot;
use crate::caller::Staff;
use crate::input::Asked;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::logs::{self, AuditView, Dashboard};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(index))
        .routes(routes!(health))
        .routes(routes!(system_logs))
        .routes(routes!(logs_dashboard))
}

/// Where to go on from here.
#[derive(Debug, Serialize, ToSchema)]
struct Index {
    /// Of this Purser.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
    /// Whether the site is well.
    #[schema(value_type = String, example = "/api/logs/health/")]
    health: &'static str,
    /// This document.
    #[schema(value_type = String, example = "/openapi.json")]
    openapi: &'static str,
}

/// Whether the site is well.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or `degraded` while the database is away: announces go on then.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// Of this Purser.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
    /// `ok` or `unreachable`.
    #[schema(value_type = String, example = "ok")]
    database: &'static str,
}

/// What there is.
#[utoipa::path(get, path = "/api/", tag = "health", security(()), responses((status = 200, body = Index)))]
async fn index() -> Json<Index> {
    Json(Index {
        version: env!("CARGO_PKG_VERSION"),
        health: "/api/logs/health/",
        openapi: "/openapi.json",
    })
}

/// Whether the site is well. Open to all.
#[utoipa::path(
    get,
    path = "/api/logs/health/",
    tag = "health",
    security(()),
    responses(
        (status = 200, description = "It is", body = Health),
        (status = 503, description = "The database is away; announces go on", body = Health),
    )
)]
async fn health(State(site): State<Site>) -> (StatusCode, Json<Health>) {
    let (code, status, database) = match site.store.ping().await {
        Ok(()) => (StatusCode::OK, "ok", "ok"),
        Err(error) => {
            tracing::warn!(%error, "the database doesn't answer");
            (StatusCode::SERVICE_UNAVAILABLE, "degraded", "unreachable")
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let health = Health {
        status,
        version,
        database,
    };
    (code, Json(health))
}

/// What staff and admins did, newest first. For staff.
#[utoipa::path(
    get,
    path = "/api/logs/system-logs/",
    tag = "logs",
    params(Paging),
    responses((status = 200, body = Page<AuditView>))
)]
async fn system_logs(
    State(site): State<Site>,
    _: Staff,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<AuditView>>, Problem> {
    Ok(Json(logs::audit(&site, &paging).await?))
}

/// How the site is, counted within the last five seconds. For staff.
#[utoipa::path(get, path = "/api/logs/dashboard/", tag = "logs", responses((status = 200, body = Dashboard)))]
async fn logs_dashboard(State(site): State<Site>, _: Staff) -> Result<Response, Problem> {
    dashboard(&site).await
}

/// The same for staff and for admins: every pass over members, torrents and sessions serves all who ask.
pub(super) async fn dashboard(site: &Site) -> Result<Response, Problem> {
    let dashboard = logs::dashboard(site);
    let json = site.cache.get(Hot::Dashboard, dashboard).await?;
    Ok(json_response(json))
}

/// What the cache has kept.
pub(super) fn json_response(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
