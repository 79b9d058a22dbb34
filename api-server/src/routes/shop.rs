//! `/api/credits/shop/` and its neighbours: what credits buy, what members give each other, and what it takes to rise.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Caller;
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::credits::Transaction;
use crate::services::freeleech::{self, FreeleechTokenView, UseRequest};
use crate::services::hit_and_runs::{self, ClassView};
use crate::services::shop::{self, GiftRequest, ItemView, PurchaseRequest, Receipt};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(list_items))
        .routes(routes!(buy))
        .routes(routes!(list_freeleech_tokens))
        .routes(routes!(use_freeleech_token))
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

/// Buy something. A freeleech token with an `info_hash` holds there at once, and without one you hold it; settling a hit-and-run needs a torrent that you took and
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

/// Your freeleech tokens, held and used, newest first.
#[utoipa::path(
    get,
    path = "/api/credits/tokens/",
    tag = "credits",
    params(Paging),
    responses((status = 200, body = Page<FreeleechTokenView>))
)]
async fn list_freeleech_tokens(
    State(site): State<Site>,
    caller: Caller,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<FreeleechTokenView>>, Problem> {
    Ok(Json(freeleech::list(&site, &caller, &paging).await?))
}

/// Use a freeleech token that you hold: from now on, and for its hours, your downloads of the torrent don't count. Refused where
/// it is used or has expired, or another token of yours for the torrent hasn't ended.
#[utoipa::path(
    post,
    path = "/api/credits/tokens/{id}/",
    tag = "credits",
    params(("id" = i64, Path, description = "The token's `id`")),
    request_body = UseRequest,
    responses((status = 200, description = "It holds", body = FreeleechTokenView))
)]
async fn use_freeleech_token(
    State(site): State<Site>,
    caller: Caller,
    Named(id): Named<i64>,
    Body(asked): Body<UseRequest>,
) -> Result<Json<FreeleechTokenView>, Problem> {
    Ok(Json(freeleech::use_one(&site, &caller, id, &asked).await?))
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
