//! What holds for every request and every reply: limits, headers, and how paths end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::Options;
use crate::problem::Problem;

/// Of a JSON body: the longest description fits several times.
const BODY_MAX: usize = 256 * 1024;

/// From a request's head to its reply. The slowest is a large upload over a slow line.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(60);

/// Of a request's id that comes from outside: replies and the log have it, too.
const REQUEST_ID_MAX: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sent with everything (OWASP's list, as far as it concerns an API); pages that need more of the browser say so
/// themselves.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

pub(crate) fn apply(router: Router, options: Options) -> Router {
    router
        .fallback(async || Problem::NOT_FOUND)
        .method_not_allowed_fallback(async || Problem::METHOD_NOT_ALLOWED)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(
            Arc::new(options),
            check_host,
        ))
        .layer(middleware::map_response(secure))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(middleware::map_request(check_request_id))
}

/// `/api/torrents` is `/api/torrents/`, and `/torznab/api/` is `/torznab/api`.
pub(crate) fn with_slash(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path();
    if path == "/torznab/api/" {
        let path = "/torznab/api".to_owned();
        move_to(&mut request, path);
        return request;
    }
    let is_ours = ["/api/", "/swagger", "/redoc", "/admin", "/rss"]
        .iter()
        .any(|root| path.starts_with(root));
    let is_file = path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    let is_page_file = is_file && !path.starts_with("/api/");
    if path == "/api" || (is_ours && !path.ends_with('/') && !is_page_file) {
        let path = format!("{path}/");
        move_to(&mut request, path);
    }
    request
}

/// One that isn't fit for a log line is as good as none: then the request gets one of ours.
async fn check_request_id(mut request: Request) -> Request {
    let fits = |id: &HeaderValue| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let mut sent = request.headers().get_all(REQUEST_ID).iter();
    let is_fit = sent.next().is_some_and(fits) && sent.next().is_none();
    if !is_fit {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// With the query that it has.
fn move_to(request: &mut Request<Body>, mut path: String) {
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    if let Ok(path) = PathAndQuery::try_from(path) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::TIMEOUT.into_response(),
    }
}

async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    // What a member sees is theirs: no cache between us keeps it. A reply with an ETag says so itself.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Keeps web pages of strangers from calling a loopback API under a name of theirs (DNS rebinding).
async fn check_host(State(options): State<Arc<Options>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(name);
    if options.allowed_hosts.is_empty() || options.allowed_hosts.iter().any(is_allowed) {
        next.run(request).await
    } else {
        Problem::WRONG_HOST.into_response()
    }
}
