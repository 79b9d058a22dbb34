//! `/torznab/api` and `/rss/`: feeds for Prowlarr, Sonarr, Radarr, autobrr and their like.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::ShownKey;
use crate::etag::Known;
use crate::input::Asked;
use crate::problem::Problem;
use crate::services::feeds::{self, Answer, Place, Refusal, RssQuery, TorznabQuery};
use crate::site::Site;

const FEED: &str = "application/rss+xml; charset=utf-8";
const XML: &str = "application/xml; charset=utf-8";

pub(super) fn routes() -> OpenApiRouter<Site> {
    OpenApiRouter::default()
        .routes(routes!(torznab))
        .routes(routes!(rss))
}

/// Torznab: open torrents, the newest first, with links that need nothing but your API key (scope `feeds` or `read`), which is
/// in them. `caps` needs no key. Refusals are `<error code= description=>` with Newznab's codes and status 200, as programs
/// read why only then; what is no fault of the question has its own status, and the code 900, and who comes too often a 429, and the
/// code 500.
#[utoipa::path(
    get,
    path = "/torznab/api",
    operation_id = "torznab",
    tag = "feeds",
    security((), ("apikey" = []), ("bearer" = [])),
    params(TorznabQuery),
    responses((
        status = 200,
        description = "A feed, or what there is to ask (`caps`), or why not (`error`)",
        content(
            (String = "application/rss+xml", example = "<rss version=\"2.0\"><channel><item><title>The Series S01E02</title>…</item></channel></rss>"),
            (String = "application/xml", example = "<error code=\"100\" description=\"Incorrect user credentials\"/>"),
        )
    ))
)]
async fn torznab(
    State(site): State<Site>,
    shown: ShownKey,
    place: Result<Place, Problem>,
    asked: Result<Asked<TorznabQuery>, Problem>,
) -> Response {
    let answer = async {
        let Asked(asked) = asked?;
        feeds::torznab(&site, &shown, &place?, asked).await
    };
    match answer.await {
        Ok(Answer::Caps(body)) => ([(header::CONTENT_TYPE, XML)], body).into_response(),
        Ok(Answer::Feed(body)) => ([(header::CONTENT_TYPE, FEED)], body).into_response(),
        Err(refusal) => refuse(refusal),
    }
}

/// Sonarr and Prowlarr take any other status for a site that is out of reach, and don't read on.
fn refuse(refusal: Refusal) -> Response {
    let body = match refusal.write() {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let mut response = ([(header::CONTENT_TYPE, XML)], body).into_response();
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(secs) = refusal.retry_after {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, secs.into());
    }
    response
}

/// The newest open torrents as RSS 2.0, with links that need nothing but your API key (scope `feeds` or `read`), which is in
/// them: don't pass it on.
#[utoipa::path(
    get,
    path = "/rss/",
    operation_id = "rss",
    tag = "feeds",
    security(("apikey" = []), ("bearer" = [])),
    params(RssQuery),
    responses(
        (
            status = 200,
            description = "The feed",
            body = String,
            content_type = "application/rss+xml",
            example = "<rss version=\"2.0\"><channel><item><title>The Series S01E02</title>…</item></channel></rss>"
        ),
        (status = 304, description = "As your `If-None-Match` says"),
    )
)]
async fn rss(
    State(site): State<Site>,
    shown: ShownKey,
    place: Place,
    known: Known,
    Asked(asked): Asked<RssQuery>,
) -> Result<Response, Problem> {
    let feed = feeds::rss(&site, &shown, &place, asked).await?;
    Ok(known.answer_with(FEED, feed))
}

impl FromRequestParts<Site> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let target = parts.uri.path_and_query();
        let target = target.map_or_else(String::new, ToString::to_string);
        let base = match site.api_url.as_str() {
            "" => asked_at(parts, site)?,
            url => url.to_owned(),
        };
        Ok(Self { base, target })
    }
}

/// The name that the request was sent to: `api.allowed_hosts` has let it pass.
fn asked_at(parts: &Parts, site: &Site) -> Result<String, Problem> {
    let is_host = |host: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(fits)
    };
    let host = text(&parts.headers, "host").filter(is_host);
    let host = host.ok_or_else(|| Problem::MALFORMED.detail("`Host` has no name of a host"))?;
    let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let is_trusted = socket.is_some_and(|socket| site.proxies.trusts(socket.0.ip()));
    let said = text(&parts.headers, "x-forwarded-proto").filter(|_| is_trusted);
    let scheme = match said.is_some_and(|said| said.eq_ignore_ascii_case("https")) {
        true => "https",
        false => "http",
    };
    Ok(format!("{scheme}://{host}"))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
