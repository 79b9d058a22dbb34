//! `/api/credits/shop/` and its neighbours: what credits buy, what members give each other, and what it takes to rise.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Caller;
use crate::input::{Body, Created, Named};
use crate::page::Page;
use crate::problem::Problem;
use crate::services::credits::Transaction;
use crate::services::hit_and_runs::{self, ClassView};
use crate::services::shop::{self, GiftRequest, ItemView, PurchaseRequest, Receipt};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_items))
        .routes(routes!(buy))
        .routes(routes!(give))
        .routes(routes!(own_class))
}

/// What credits buy, and whether you have enough for it.
#[utoipa::path(get, path = "/api/credits/shop/", tag = "credits", responses((status = 200, body = Page<ItemView>)))]
async fn list_items(
    State(site): State<Site>,
    caller: Caller,
) -> Result<Json<Page<ItemView>>, Problem> {
    Ok(Json(shop::items(&site, caller.user.id).await?))
}

/// Buy something. A freeleech token holds at once, for one torrent; settling a hit-and-run needs a torrent that you took and
/// haven't given back. Refused, with nothing paid, where you haven't got the credits or it would be for nothing.
#[utoipa::path(
    post,
    path = "/api/credits/shop/{item}/",
    tag = "credits",
    params(("item" = String, Path, description = "The item's `id`")),
    request_body = PurchaseRequest,
    responses((status = 201, description = "It is yours", body = Receipt))
)]
async fn buy(
    State(site): State<Site>,
    caller: Caller,
    Named(item): Named<String>,
    Body(asked): Body<PurchaseRequest>,
) -> Result<Created<Receipt>, Problem> {
    Ok(Created(shop::buy(&site, &caller, &item, &asked).await?))
}

/// Give another member credits of yours. They are told.
#[utoipa::path(
    post,
    path = "/api/credits/gifts/",
    tag = "credits",
    request_body = GiftRequest,
    responses((status = 201, description = "What went from your account", body = Transaction))
)]
async fn give(
    State(site): State<Site>,
    caller: Caller,
    Body(asked): Body<GiftRequest>,
) -> Result<Created<Transaction>, Problem> {
    Ok(Created(shop::give(&site, &caller, &asked).await?))
}

/// Your class, what you have of what classes ask for, and what is missing for the next.
#[utoipa::path(get, path = "/api/credits/class/", tag = "credits", responses((status = 200, body = ClassView)))]
async fn own_class(State(site): State<Site>, caller: Caller) -> Result<Json<ClassView>, Problem> {
    Ok(Json(hit_and_runs::class(&site, caller.user.id).await?))
}
