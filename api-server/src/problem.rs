//! Errors as RFC 9457 has them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One kind of error. Its `type` never changes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
}

impl Problem {
    /// There's nothing at this path.
    pub const NOT_FOUND: Self = Self {
        kind: "/problems/not-found",
        title: "There is nothing here",
        status: 404,
    };
    /// There's something at this path, for another method.
    pub const METHOD_NOT_ALLOWED: Self = Self {
        kind: "/problems/method-not-allowed",
        title: "This path has no such method",
        status: 405,
    };
    /// See `api.allowed_hosts`.
    pub const WRONG_HOST: Self = Self {
        kind: "/problems/wrong-host",
        title: "This site isn't called by this name: see api.allowed_hosts",
        status: 421,
    };
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response()
    }
}
