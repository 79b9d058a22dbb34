//! The API's document, out of its own code, and the pages that show it. Nothing here asks another host for anything.

use std::borrow::Cow;
use std::sync::Arc;

use aide::redoc::Redoc;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, License, OpenApi, Ref, RefOr, Response as Documented,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use crate::problem::{FieldError, Problem};
use crate::routes;
use crate::site::Site;

const ABOUT: &str = "\
JSON over HTTP. Times are RFC 3339 in UTC; byte counts are integers; credits are in thousandths (`…_milli`). Lists come in pages: \
`{\"results\": […], \"next\": \"…\"}`, and `?cursor=` takes `next`. Paths work with and without their last slash.

Send `Authorization: Bearer …` with the `access` token of a login, or with an API key. An API key does what its scopes say: \
`read` for GET, `write` for what changes something, `staff` beside them for what staff may, `feeds` for Torznab and RSS. Feeds and \
downloads take it as `apikey=` in the address, too: whoever reads that, in a proxy's log say, has the key.

Errors are RFC 9457 problems (`application/problem+json`): `type` names the kind and never changes, `detail` and `errors` say \
what is wrong and what would be right. A POST with an `Idempotency-Key` is done once, however often it is sent within a \
day: the first answer comes again. Without an answer, as after a crash, it may be sent again after two minutes. Replies say by `RateLimit` how many requests are left: to your address, and to you, as your class has it. Each reply has an `X-Request-Id`, which the log has too.";

/// The OpenAPI document, as `/openapi.json` serves it.
pub fn document() -> OpenApi {
    split(routes::all()).1
}

/// The routes by themselves, and the document, with what every operation has in common.
pub(crate) fn split(routes: OpenApiRouter<Site>) -> (Router<Site>, OpenApi) {
    let (router, mut document) = routes.split_for_parts();
    document.info = InfoBuilder::new()
        .title("Purser")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new("MIT")))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An access token, or an API key"))
                .build(),
        ),
    );
    components.add_security_scheme(
        "apikey",
        SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
            "apikey",
            "An API key that may read feeds",
        ))),
    );
    for (name, schema) in [
        (Problem::name(), Problem::schema()),
        (FieldError::name(), FieldError::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            add_errors(operation, path);
        }
    }
    (router, document)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Who must show something may be refused for it, what has a body may be wrong, and anything may fail.
fn add_errors(operation: &mut Operation, path: &str) {
    let bearer = || vec![SecurityRequirement::new::<_, [&str; 0], &str>("bearer", [])];
    let needs = operation.security.get_or_insert_with(bearer);
    let is_open = needs.contains(&SecurityRequirement::default());
    let is_torznab = path.starts_with("/torznab/");
    let has_body = operation.request_body.is_some();
    // Torznab says it with 200.
    let has_input = has_body || (operation.parameters.is_some() && !is_torznab);
    let errors = [
        (400, "It can't be read", has_body),
        (
            401,
            "No good token or key",
            !is_open || path.contains("/auth/"),
        ),
        (403, "You may not", !is_open || path.contains("/auth/")),
        (404, "There is no such thing", path.contains('{')),
        (
            409,
            "Taken, or not possible as things stand",
            has_body || !is_read(operation),
        ),
        (413, "Too large a body", has_body),
        (415, "Another type of body is needed", has_body),
        (422, "Some fields are wrong", has_input),
        (429, "Too many requests: `Retry-After` says when", true),
        (500, "A bug: the log has more", true),
        (503, "The database is away: `Retry-After` says when", true),
    ];
    for (status, meaning, applies) in errors {
        if applies {
            let responses = &mut operation.responses.responses;
            responses
                .entry(status.to_string())
                .or_insert_with(|| RefOr::T(refusal(meaning, is_torznab && status >= 500)));
        }
    }
}

fn is_read(operation: &Operation) -> bool {
    operation.responses.responses.contains_key("200") && operation.request_body.is_none()
}

/// What fails behind the doors of Torznab is said in its own way.
fn refusal(meaning: &str, also_in_xml: bool) -> Documented {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    let response = ResponseBuilder::new()
        .description(meaning)
        .content("application/problem+json", content);
    match also_in_xml {
        false => response.build(),
        true => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let content = ContentBuilder::new().schema(Some(text)).build();
            response.content("application/xml", content).build()
        }
    }
}

/// `/openapi.json`, Swagger UI and ReDoc.
pub(crate) fn pages(document: &OpenApi) -> Router {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let swagger = Arc::new(Config::from("/openapi.json").try_it_out_enabled(true));
    let redoc = Bytes::from(redoc());
    let files = Arc::clone(&swagger);
    Router::new()
        .route(
            "/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json)),
        )
        .route("/swagger/", get(async move || swagger_file("", &swagger)))
        .route(
            "/swagger/{file}",
            get(async move |Path(file): Path<String>| swagger_file(&file, &files)),
        )
        .route("/redoc/", get(async move || page(redoc)))
        .route("/favicon.ico", get(icon))
}

/// What these pages' own scripts and styles need, and nothing from elsewhere.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; worker-src blob:; frame-ancestors 'none'";

fn swagger_file(file: &str, config: &Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(file, Arc::clone(config)) {
        Ok(Some(found)) => {
            let kind = HeaderValue::from_str(&found.content_type);
            let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            let policy = HeaderValue::from_static(PAGE_POLICY);
            // Some are megabytes, and in the program already: no copy for each request.
            let bytes = match found.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            };
            let mut response = bytes.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, kind);
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            if found.gzpipped {
                let gzip = HeaderValue::from_static("gzip");
                headers.insert(header::CONTENT_ENCODING, gzip);
            }
            response
        }
        Ok(None) => Problem::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(%error, "Swagger UI can't be served");
            Problem::INTERNAL.into_response()
        }
    }
}

/// Its maker's logo would come from their server.
fn redoc() -> String {
    let page = Redoc::new("/openapi.json").with_title("Purser API").html();
    page.replace("https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,")
}

fn page(html: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, html).into_response()
}

/// Browsers ask for one wherever they are, and call it an error if there is none.
async fn icon() -> Response {
    const PICTURE: &str = concat!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>",
        "<rect width='16' height='16' rx='3' fill='#26547c'/>",
        "<path d='M5 13V3h4a3 3 0 0 1 0 6H5' fill='none' stroke='#fff' stroke-width='2'/></svg>",
    );
    ([(header::CONTENT_TYPE, "image/svg+xml")], PICTURE).into_response()
}
