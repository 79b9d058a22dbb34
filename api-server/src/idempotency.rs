//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that is sent again, because its answer was lost,
//! isn't done again; the first answer comes once more. For a day, and for each member's keys by themselves.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store::{KeyedRequest, Known};
use tokio::time::timeout;
use tracker_core::ids::UnixTime;

use crate::caller::{Caller, Via};
use crate::conventions::TIME_MAX;
use crate::form::FORM_MAX;
use crate::problem::Problem;
use crate::site::Site;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Seconds that answers are kept.
const KEPT_SECS: u32 = 86_400;

/// Seconds after which a request that isn't answered yet was interrupted, and the same may come again: twice as long as
/// one takes at most ([`TIME_MAX`]).
const LEASE_SECS: u32 = 120;

/// The longest answer to a POST: an upload's, with the first of its files.
const ANSWER_MAX: usize = FORM_MAX;

/// What is kept of an answer. It may hold a secret that is shown once, so the database gets it sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    content_type: Option<String>,
    location: Option<String>,
    body: String,
}

pub(crate) async fn once(State(site): State<Site>, request: Request, next: Next) -> Response {
    let has_key = request.headers().contains_key(IDEMPOTENCY_KEY);
    if request.method() != Method::POST || !has_key {
        return next.run(request).await;
    }
    match once_only(&site, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn once_only(site: &Site, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    // Who isn't known has no keys: registering twice is refused by itself.
    let Ok(caller) = Caller::from_request_parts(&mut parts, site).await else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let key = parts.headers[IDEMPOTENCY_KEY].clone();
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && !key.contains('\t'));
    let key = key.ok_or_else(|| {
        Problem::MALFORMED.detail("an Idempotency-Key is 1 to 255 printable characters")
    })?;
    // The longest that a path takes.
    let body = to_bytes(body, FORM_MAX)
        .await
        .map_err(|_| Problem::TOO_LARGE)?;
    let keyed = KeyedRequest {
        user: caller.user.id,
        key,
        digest: digest(&caller, &parts.method, parts.uri.path(), &body),
    };
    let now = site.now();
    let before = |secs| UnixTime(now.0.saturating_sub(secs));
    let (oldest, interrupted) = (before(KEPT_SECS), before(LEASE_SECS));
    let known = site
        .store
        .take_idempotency_key(&keyed, now, oldest, interrupted);
    match known.await? {
        Known::New => {}
        Known::Another => {
            return Err(Problem::KEY_REUSED.detail("it came with another request before"));
        }
        Known::Pending => {
            return Err(Problem {
                retry_after: Some(1),
                ..Problem::CONFLICT.detail(
                    "the request with this Idempotency-Key isn't done yet, or was interrupted: then it may come again two minutes \
                     after it came first, if nothing came of it",
                )
            });
        }
        Known::Answered { status, answer } => return replay(site, status, answer),
    }
    // By itself: a client that hangs up, which is what the key is for, doesn't leave it half done. No longer than any
    // request: when its lease ends, nobody is at it.
    let (site, user, digest, key) = (site.clone(), keyed.user, keyed.digest, key.to_owned());
    let done = tokio::spawn(timeout(TIME_MAX, async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        let key = &key;
        keep(&site, &KeyedRequest { user, key, digest }, response).await
    }));
    let in_time = done.await.map_err(|_| Problem::INTERNAL)?;
    in_time.map_err(|_| Problem::TIMEOUT)?
}

/// Of what they have shown, too: an answer is nobody's who may not do what it answers.
fn digest(caller: &Caller, method: &Method, path: &str, body: &[u8]) -> [u8; 32] {
    let shown = match &caller.via {
        Via::Login(_) => "login".to_owned(),
        Via::ApiKey(scopes) => format!("API key: {}", scopes.write()),
    };
    let role = format!("{:?}", caller.user.role);
    let mut hasher = blake3::Hasher::new_derive_key("purser 2026-11-24 idempotent request");
    for part in [
        shown.as_bytes(),
        role.as_bytes(),
        method.as_str().as_bytes(),
        path.as_bytes(),
        body,
    ] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// What was refused changed nothing: a corrected request may take the same key.
async fn keep(
    site: &Site,
    keyed: &KeyedRequest<'_>,
    response: Response,
) -> Result<Response, Problem> {
    if !response.status().is_success() {
        site.store.forget_idempotency_key(keyed).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_MAX)
        .await
        .map_err(|_| Problem::INTERNAL)?;
    let text = |name: HeaderName| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let answer = Answer {
        content_type: text(CONTENT_TYPE),
        location: text(LOCATION),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let sealed = seal(site, &answer)?;
    let status = parts.status.as_u16();
    // It is done: whoever can't be told of it again still hears of it now.
    if let Err(error) = site
        .store
        .answer_idempotency_key(keyed, status, &sealed)
        .await
    {
        tracing::warn!(%error, "an answer couldn't be kept for its Idempotency-Key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(site: &Site, status: u16, sealed: Vec<u8>) -> Result<Response, Problem> {
    let answer = open(site, sealed).ok_or(Problem::INTERNAL)?;
    let status = StatusCode::from_u16(status).map_err(|_| Problem::INTERNAL)?;
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, text) in [
        (CONTENT_TYPE, answer.content_type),
        (LOCATION, answer.location),
    ] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

const NONCE: usize = 12;

fn key(site: &Site) -> Option<RandomizedNonceKey> {
    let key = site.token_key.derive("purser idempotent answers v1");
    RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
}

fn seal(site: &Site, answer: &Answer) -> Result<Vec<u8>, Problem> {
    let seal = || {
        let mut bytes = serde_json::to_vec(answer).ok()?;
        let nonce = key(site)?
            .seal_in_place_append_tag(Aad::empty(), &mut bytes)
            .ok()?;
        Some([nonce.as_ref().as_slice(), &bytes].concat())
    };
    seal().ok_or(Problem::INTERNAL)
}

fn open(site: &Site, mut sealed: Vec<u8>) -> Option<Answer> {
    let mut bytes = sealed.split_off(NONCE.min(sealed.len()));
    let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
    let plain = key(site)?
        .open_in_place(nonce, Aad::empty(), &mut bytes)
        .ok()?;
    serde_json::from_slice(plain).ok()
}
