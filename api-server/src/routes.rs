//! Paths, and what each of them calls. One file for each part of the table in CONTRACT.md.

use utoipa_axum::router::OpenApiRouter;

use crate::site::Site;

mod admin;
mod auth;
mod credits;
mod feeds;
mod gate;
mod invites;
mod logs;
mod policies;
mod security;
mod shop;
mod torrents;
mod user;

/// All of them. What isn't added here has no path, and what is added is in the document.
pub(crate) fn all() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .merge(auth::routes())
        .merge(user::routes())
        .merge(invites::routes())
        .merge(credits::routes())
        .merge(shop::routes())
        .merge(admin::routes())
        .merge(gate::routes())
        .merge(policies::routes())
        .merge(security::routes())
        .merge(torrents::routes())
        .merge(feeds::routes())
        .merge(logs::routes())
}
