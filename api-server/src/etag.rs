//! Answers that a client may keep, if it asks before it uses them again: a weak ETag, and `304` while nothing has changed.

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::cache;
use crate::problem::Problem;
use crate::site::Site;

/// What the client says that it has: `If-None-Match`.
pub(crate) struct Known(Option<String>);

impl FromRequestParts<Site> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Site) -> Result<Self, Problem> {
        let headers = parts.headers.get_all(header::IF_NONE_MATCH).iter();
        let texts: Vec<_> = headers.filter_map(|value| value.to_str().ok()).collect();
        Ok(Self((!texts.is_empty()).then(|| texts.join(","))))
    }
}

impl Known {
    /// The answer, unless the client has the same. Weak, as compression changes the bytes.
    pub(crate) fn answer(&self, answer: &impl Serialize) -> Result<Response, Problem> {
        Ok(self.send(cache::json(answer)?))
    }

    /// The same, of an answer that is JSON already.
    pub(crate) fn send(&self, body: Bytes) -> Response {
        self.answer_with("application/json", body)
    }

    /// The same, of another type.
    pub(crate) fn answer_with(&self, kind: &'static str, body: impl Into<Bytes>) -> Response {
        let body = body.into();
        let hash = blake3::hash(&body).to_hex();
        let tag = format!("\"{}\"", &hash[..32]);
        let mut response = match self.has(&tag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
            headers.insert(header::ETAG, tag);
        }
        let caching = HeaderValue::from_static("private, no-cache");
        headers.insert(header::CACHE_CONTROL, caching);
        response
    }

    /// As RFC 9110 compares for reading: `W/` makes no difference.
    fn has(&self, tag: &str) -> bool {
        let mut known = self.0.iter().flat_map(|list| list.split(','));
        known.any(|one| {
            let one = one.trim();
            one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn what_a_client_has_is_compared_weakly() {
        let has = |list: &str| Known(Some(list.to_owned())).has("\"a\"");
        assert!(has("\"a\"") && has("W/\"a\"") && has("\"b\", W/\"a\"") && has("*"));
        assert!(!has("a") && !has("\"b\"") && !has(""));
        assert!(!Known(None).has("\"a\""));
    }
}
