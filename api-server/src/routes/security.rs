//! `/api/security/`: what was shut out, what looks odd, and what clients announce.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use tracker_core::ids::UserId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cache::Hot;
use crate::caller::Staff;
use crate::input::Asked;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::logs::{self, AnnounceQuery, AnnounceView, SecurityStats, Suspicion};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(security_stats))
        .routes(routes!(suspicious_activities))
        .routes(routes!(announce_logs))
}

/// What was shut out, counted within the last five seconds. For staff.
#[utoipa::path(get, path = "/api/security/stats/", tag = "security", responses((status = 200, body = SecurityStats)))]
async fn security_stats(State(site): State<Site>, _: Staff) -> Result<Response, Problem> {
    let stats = logs::security(&site);
    let json = site.cache.get(Hot::Security, stats).await?;
    Ok(super::logs::json_response(json))
}

/// What rules found. Empty, as there are none yet. For staff.
#[utoipa::path(
    get,
    path = "/api/security/suspicious-activities/",
    tag = "security",
    params(Paging),
    responses((status = 200, body = Page<Suspicion>))
)]
async fn suspicious_activities(
    _: Staff,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<Suspicion>>, Problem> {
    Ok(Json(logs::suspicions(&paging)?))
}

/// What each of a member's clients last announced, the latest first. For staff.
#[utoipa::path(
    get,
    path = "/api/security/announce-logs/",
    tag = "security",
    params(AnnounceQuery, Paging),
    responses((status = 200, body = Page<AnnounceView>))
)]
async fn announce_logs(
    State(site): State<Site>,
    _: Staff,
    Asked(asked): Asked<AnnounceQuery>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<AnnounceView>>, Problem> {
    Ok(Json(
        logs::announces(&site, UserId(asked.user), &paging).await?,
    ))
}
