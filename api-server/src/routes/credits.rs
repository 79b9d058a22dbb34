//! `/api/credits/`: what members have, and what admins give and take.

use axum::Json;
use axum::extract::State;
use tracker_core::ids::UserId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::{Admin, Caller};
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::credits::{self, Balance, CreditChange, Transaction, UserClassView};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(balance))
        .routes(routes!(transactions))
        .routes(routes!(user_classes))
        .routes(routes!(change_credits))
}

/// Your credits and your ratio.
#[utoipa::path(get, path = "/api/credits/balance/", tag = "credits", responses((status = 200, body = Balance)))]
async fn balance(State(site): State<Site>, caller: Caller) -> Result<Json<Balance>, Problem> {
    Ok(Json(credits::balance(&site, caller.user.id).await?))
}

/// How your credits came and went, newest first.
#[utoipa::path(
    get,
    path = "/api/credits/transactions/",
    tag = "credits",
    params(Paging),
    responses((status = 200, body = Page<Transaction>))
)]
async fn transactions(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<Transaction>>, Problem> {
    let page = credits::transactions(&site, caller.user.id, &paging).await?;
    Ok(Json(page))
}

/// The classes that members can be of, lowest first: what each asks for, and gives.
#[utoipa::path(get, path = "/api/credits/user-classes/", tag = "credits", responses((status = 200, body = Page<UserClassView>)))]
async fn user_classes(State(site): State<Site>, _: Caller) -> Json<Page<UserClassView>> {
    Json(credits::user_classes(&site))
}

/// Give a member credits, or take some. For admins.
#[utoipa::path(
    post,
    path = "/api/admin/users/{id}/credits/",
    tag = "admin",
    params(("id" = u32, Path, description = "The member's number")),
    request_body = CreditChange,
    responses((status = 201, description = "What was written down", body = Transaction))
)]
async fn change_credits(
    State(site): State<Site>,
    Admin(caller): Admin,
    Named(id): Named<u32>,
    Body(change): Body<CreditChange>,
) -> Result<Created<Transaction>, Problem> {
    let done = credits::change(&site, &caller.user, UserId(id), change).await?;
    Ok(Created(done))
}
