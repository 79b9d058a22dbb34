//! The dashboard: a page, a script and a style of our own, in the program. It knows what the REST API answers, and nothing else.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Its own files and nothing else: no script within the page, none from elsewhere, and no frame around it.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn pages() -> Router {
    Router::new()
        .route("/admin/", get(index))
        .route("/admin/app.js", get(script))
        .route("/admin/style.css", get(style))
}

async fn index() -> Response {
    let page = include_str!("dashboard/index.html");
    file("text/html; charset=utf-8", page)
}

async fn script() -> Response {
    let script = include_str!("dashboard/app.js");
    file("text/javascript; charset=utf-8", script)
}

async fn style() -> Response {
    let style = include_str!("dashboard/style.css");
    file("text/css; charset=utf-8", style)
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, content).into_response()
}
