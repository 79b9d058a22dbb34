//! Bodies, queries and paths as handlers take them; what doesn't fit is a [`Problem`].

use std::error::Error;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::site::Site;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Site> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(
                Problem::UNSUPPORTED.detail("send JSON, as `Content-Type: application/json`")
            );
        }
        let bytes = Bytes::from_request(request, site)
            .await
            .map_err(too_large)?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            if !inner.is_data() {
                return Problem::MALFORMED.detail(format!("the body isn't JSON: {inner}"));
            }
            wrong_field(path, without_place(&inner.to_string()))
        })?;
        reader
            .end()
            .map_err(|_| Problem::MALFORMED.detail("there is more after the JSON body"))?;
        Ok(Self(body))
    }
}

/// Of a field that isn't there, serde's path has its parent alone.
fn wrong_field(path: String, message: String) -> Problem {
    let parent = if path == "." { String::new() } else { path };
    let missing = message.strip_prefix("missing field `");
    let Some(name) = missing.and_then(|rest| rest.strip_suffix('`')) else {
        return Problem::invalid(parent, message);
    };
    let field = match parent.is_empty() {
        true => name.to_owned(),
        false => format!("{parent}.{name}"),
    };
    Problem::invalid(field, "it must be there")
}

/// serde_json counts lines and columns; the field says it better.
fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

fn too_large(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
        _ => Problem::MALFORMED.detail("the body ended too soon"),
    }
}

/// What stands behind the `?`.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Site> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, site).await;
        let Query(query) = query.map_err(wrong_query)?;
        Ok(Self(query))
    }
}

/// Names the field, which axum's text has somewhere within.
fn wrong_query(error: QueryRejection) -> Problem {
    type Wrong = serde_path_to_error::Error<serde::de::value::Error>;
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(wrong) = error.downcast_ref::<Wrong>() {
            return wrong_field(wrong.path().to_string(), wrong.inner().to_string());
        }
        cause = error.source();
    }
    Problem::INVALID.detail(error.body_text())
}

/// What the path names. Whatever can't be a name of anything is nothing.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Site> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, site).await;
        let Path(name) = path.map_err(|_| Problem::NOT_FOUND)?;
        Ok(Self(name))
    }
}

/// `201 Created`.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        let kind = axum::http::HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, kind);
        if let Some(secs) = self.retry_after {
            headers.insert(axum::http::header::RETRY_AFTER, secs.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = axum::http::HeaderValue::from_static("Bearer");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
