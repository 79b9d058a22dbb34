//! # api-server
//!
//! What may people see and change? So far: whether the site is well. Every error is `application/problem+json`
//! (RFC 9457), and every path works with and without its trailing slash.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use store::Store;

mod problem;

pub use problem::Problem;

/// What the API needs.
#[derive(Clone, Debug)]
pub struct Api {
    /// The database.
    pub store: Store,
    /// Names it may be called by (the `Host` header, without its port). Empty: any.
    pub allowed_hosts: Vec<String>,
}

/// All routes.
pub fn router(api: Api) -> Router {
    let router = Router::new();
    let router = both(router, "/api", get(index));
    let router = both(router, "/api/logs/health", get(health));
    let router = both(router, "/swagger", get(not_yet));
    let router = both(router, "/redoc", get(not_yet));
    let router = both(router, "/admin", get(not_yet));
    router
        .fallback(async || Problem::NOT_FOUND)
        .method_not_allowed_fallback(async || Problem::METHOD_NOT_ALLOWED)
        .layer(middleware::from_fn_with_state(api.clone(), check_host))
        .with_state(api)
}

fn both(router: Router<Api>, path: &str, methods: axum::routing::MethodRouter<Api>) -> Router<Api> {
    router
        .route(path, methods.clone())
        .route(&format!("{path}/"), methods)
}

/// What there is.
async fn index() -> Json<serde_json::Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "health": "/api/logs/health/" }))
}

/// `{"status": "ok", …}`, or 503 and `"degraded"` while the database is away: announces go on then.
async fn health(State(api): State<Api>) -> Response {
    let (code, status, database) = match api.store.ping().await {
        Ok(()) => (StatusCode::OK, "ok", "ok"),
        Err(error) => {
            tracing::warn!(%error, "the database doesn't answer");
            (StatusCode::SERVICE_UNAVAILABLE, "degraded", "unreachable")
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({ "status": status, "version": version, "database": database });
    (code, Json(body)).into_response()
}

/// Pages whose addresses are promised already.
async fn not_yet() -> Response {
    let page = "<!doctype html><title>Purser</title><p>This page comes with a later version. \
                What there is today: <a href=\"/api/logs/health/\">health</a>.";
    (StatusCode::NOT_IMPLEMENTED, Html(page)).into_response()
}

/// Keeps web pages of strangers from calling a loopback API under a name of theirs (DNS rebinding).
async fn check_host(State(api): State<Api>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(name);
    if api.allowed_hosts.is_empty() || api.allowed_hosts.iter().any(is_allowed) {
        next.run(request).await
    } else {
        Problem::WRONG_HOST.into_response()
    }
}
