//! # api-server
//!
//! What may people see and change? [`services`] hold the rules and are free of axum; `routes` turn requests into calls of
//! them, and [`document`] says what there is, out of the same code. Every error is a [`Problem`], and every path works with
//! and without its trailing slash.
//!
//! A caller shows an access token or an API key (`credentials`, `caller`, `scope`). Whatever the tracker must know too goes
//! into the database with a change row, in one transaction: `store` sees to that.

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower::ServiceExt;

mod cache;
mod caller;
mod conventions;
mod credentials;
mod dashboard;
mod docs;
mod etag;
mod form;
mod idempotency;
mod input;
mod limits;
mod names;
mod page;
pub mod passwords;
mod problem;
mod redis;
mod routes;
mod scope;
pub mod services;
mod site;
mod throttle;
mod time;
mod xml;

pub use docs::document;
pub use names::check as check_username;
pub use problem::{FieldError, Problem};
pub use redis::Redis;
pub use site::{Configuration, JobPlan, JobPlans, Judge, Live, Plans, Site};

/// What only the listener minds.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names it may be called by (the `Host` header, without its port). Empty: any.
    pub allowed_hosts: Vec<String>,
}

/// Everything that is served on `api.listen`.
pub fn router(site: Site, options: Options) -> Router {
    let (routes, document) = docs::split(routes::all());
    let routes = routes.layer(from_fn_with_state(site.clone(), idempotency::once));
    let router = routes
        .with_state(site.clone())
        .merge(docs::pages(&document))
        .merge(dashboard::pages())
        .layer(from_fn_with_state(site, throttle::throttle));
    let router = conventions::apply(router, options);
    // Around the router, as it has chosen a route by the time its own layers run.
    Router::new().fallback_service(router.map_request(conventions::with_slash))
}
