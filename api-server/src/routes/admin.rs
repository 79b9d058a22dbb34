//! `/api/admin/`: members and the site, for those who run it.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use tracker_core::ids::UserId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Admin, Staff};
use crate::input::{Asked, Body, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::admin::{self, UserDetail, UserPatch, UserQuery, UserView};
use crate::services::jobs::{self, JobView};
use crate::services::logs::Dashboard;
use crate::services::reports::{self, ReportRequest, ReportView};
use crate::services::settings::{self, ConfigPatch, ConfigView};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_users))
        .routes(routes!(show_user, change_user))
        .routes(routes!(admin_dashboard))
        .routes(routes!(system_config, change_system_config))
        .routes(routes!(generate_report))
        .routes(routes!(list_jobs))
}

/// Members, oldest first. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/users/",
    tag = "admin",
    params(UserQuery, Paging),
    responses((status = 200, body = Page<UserView>))
)]
async fn list_users(
    State(site): State<Site>,
    _: Staff,
    Asked(asked): Asked<UserQuery>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<UserView>>, Problem> {
    Ok(Json(admin::list(&site, asked, &paging).await?))
}

/// A member, with what they have and who brought them. For staff.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}/",
    tag = "admin",
    params(("id" = u32, Path, description = "The member's number")),
    responses((status = 200, body = UserDetail))
)]
async fn show_user(
    State(site): State<Site>,
    _: Staff,
    Named(id): Named<u32>,
) -> Result<Json<UserDetail>, Problem> {
    Ok(Json(admin::user(&site, UserId(id)).await?))
}

/// Change a member's status, role, class or invites. Nobody disables or demotes themselves. For admins.
#[utoipa::path(
    patch,
    path = "/api/admin/users/{id}/",
    tag = "admin",
    params(("id" = u32, Path, description = "The member's number")),
    request_body = UserPatch,
    responses((status = 200, description = "As they are now", body = UserDetail))
)]
async fn change_user(
    State(site): State<Site>,
    Admin(caller): Admin,
    Named(id): Named<u32>,
    Body(patch): Body<UserPatch>,
) -> Result<Json<UserDetail>, Problem> {
    let changed = admin::change(&site, &caller.user, UserId(id), patch).await?;
    Ok(Json(changed))
}

/// How the site is, counted within the last five seconds. For admins.
#[utoipa::path(get, path = "/api/admin/dashboard/", tag = "admin", responses((status = 200, body = Dashboard)))]
async fn admin_dashboard(State(site): State<Site>, _: Admin) -> Result<Response, Problem> {
    super::logs::dashboard(&site).await
}

/// What is done now and then, by whichever process is first, and how it went last. For admins.
#[utoipa::path(
    get,
    path = "/api/admin/jobs/",
    tag = "admin",
    responses((status = 200, body = Page<JobView>))
)]
async fn list_jobs(State(site): State<Site>, _: Admin) -> Result<Json<Page<JobView>>, Problem> {
    Ok(Json(jobs::list(&site).await?))
}

/// The configuration in effect, without secrets, and what admins have set in it. For admins.
#[utoipa::path(
    get,
    path = "/api/admin/system-config/",
    tag = "admin",
    responses((status = 200, body = ConfigView))
)]
async fn system_config(State(site): State<Site>, _: Admin) -> Result<Json<ConfigView>, Problem> {
    Ok(Json(settings::show(&site).await?))
}

/// Change what can change while it runs, in every process within two seconds: intervals, numbers of peers, limits, and what
/// credits follow. It goes before the configuration's own, also after a restart, until `null` takes it back. For admins.
///
/// These can: `tracker.announce_interval_secs` (60 or more), `tracker.min_interval_secs`, `tracker.numwant_default`,
/// `tracker.numwant_max`, `tracker.max_peers_per_torrent_per_user`, `credits.multiplier`, `credits.min_ratio_warning`,
/// `api.requests_per_minute` (0, or 60 or more).
#[utoipa::path(
    patch,
    path = "/api/admin/system-config/",
    tag = "admin",
    request_body = ConfigPatch,
    responses((status = 200, description = "As it is now", body = ConfigView))
)]
async fn change_system_config(
    State(site): State<Site>,
    Admin(caller): Admin,
    Body(patch): Body<ConfigPatch>,
) -> Result<Json<ConfigView>, Problem> {
    let changed = settings::change(&site, &caller.user, patch).await?;
    Ok(Json(changed))
}

/// What happened on the site between two moments, counted now. Nothing is kept of it. For admins.
#[utoipa::path(
    post,
    path = "/api/admin/reports/generate/",
    tag = "admin",
    request_body = ReportRequest,
    responses((status = 200, body = ReportView))
)]
async fn generate_report(
    State(site): State<Site>,
    _: Admin,
    Body(asked): Body<ReportRequest>,
) -> Result<Json<ReportView>, Problem> {
    Ok(Json(reports::generate(&site, &asked).await?))
}
