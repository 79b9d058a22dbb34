//! `/api/torrents/`: finding, uploading, changing and downloading torrents.

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cache::Hot;
use crate::caller::{Caller, Downloader, Staff, Uploader};
use crate::etag::Known;
use crate::form::FORM_MAX;
use crate::input::{Asked, Body, Created, Named};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::downloads::{self, TorrentFile};
use crate::services::torrents::{
    self, FileView, Popular, TorrentChange, TorrentDetailView, TorrentView, Wanted,
};
use crate::services::uploads::{self, Upload, UploadForm, Uploaded};
use crate::site::Site;

pub(super) fn routes() -> OpenApiRouter<Site> {
    let uploads = OpenApiRouter::default()
        .routes(routes!(list, upload))
        .layer(DefaultBodyLimit::max(FORM_MAX));
    OpenApiRouter::default()
        .merge(uploads)
        .routes(routes!(popular))
        .routes(routes!(detail, change, delete))
        .routes(routes!(files))
        .routes(routes!(download))
}

/// Torrents that you may see: open ones, and your own that await moderation.
#[utoipa::path(
    get,
    path = "/api/torrents/",
    operation_id = "list_torrents",
    tag = "torrents",
    params(Wanted),
    responses(
        (status = 200, description = "A page of them", body = Page<TorrentView>),
        (status = 304, description = "As your `If-None-Match` says"),
    )
)]
async fn list(
    State(site): State<Site>,
    caller: Caller,
    known: Known,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    known.answer(&torrents::list(&site, &caller, wanted).await?)
}

/// Register a torrent; for uploaders and staff. One that isn't marked private is marked, which changes its info hash:
/// `private_added` says so, and you download it again. One that was deleted comes back if staff upload it.
#[utoipa::path(
    post,
    path = "/api/torrents/",
    operation_id = "upload_torrent",
    tag = "torrents",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((
        status = 201,
        description = "It may be announced from now on",
        body = Uploaded,
        headers(("location" = String, description = "Where it is"))
    ))
)]
async fn upload(
    State(site): State<Site>,
    Uploader(caller): Uploader,
    upload: Upload,
) -> Result<Response, Problem> {
    let uploaded = uploads::upload(&site, &caller, upload).await?;
    site.cache.forget(Hot::Popular).await;
    let place = format!("/api/torrents/{}/", uploaded.torrent.torrent.info_hash);
    Ok(([(header::LOCATION, place)], Created(uploaded)).into_response())
}

/// The 50 open torrents with the most peers. The answer may be ten seconds old.
#[utoipa::path(
    get,
    path = "/api/torrents/popular/",
    operation_id = "popular_torrents",
    tag = "torrents",
    responses(
        (status = 200, description = "The most popular first", body = Popular),
        (status = 304, description = "As your `If-None-Match` says"),
    )
)]
async fn popular(
    State(site): State<Site>,
    _caller: Caller,
    known: Known,
) -> Result<Response, Problem> {
    let popular = torrents::popular(&site);
    Ok(known.send(site.cache.get(Hot::Popular, popular).await?))
}

/// A torrent, by either of its hashes.
#[utoipa::path(
    get,
    path = "/api/torrents/{hash}/",
    operation_id = "torrent",
    tag = "torrents",
    params(("hash" = String, Path, description = "40 hex digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentDetailView),
        (status = 304, description = "As your `If-None-Match` says"),
    )
)]
async fn detail(
    State(site): State<Site>,
    caller: Caller,
    known: Known,
    Named(hash): Named<String>,
) -> Result<Response, Problem> {
    known.answer(&torrents::detail(&site, &caller, &hash).await?)
}

/// A torrent's files, in its own order.
#[utoipa::path(
    get,
    path = "/api/torrents/{hash}/files/",
    operation_id = "torrent_files",
    tag = "torrents",
    params(("hash" = String, Path, description = "40 hex digits"), Paging),
    responses((status = 200, body = Page<FileView>))
)]
async fn files(
    State(site): State<Site>,
    caller: Caller,
    Named(hash): Named<String>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<FileView>>, Problem> {
    Ok(Json(torrents::files(&site, &caller, &hash, &paging).await?))
}

/// Change what is said of a torrent; for whoever brought it, and for staff. `status` is for staff alone.
#[utoipa::path(
    patch,
    path = "/api/torrents/{hash}/",
    operation_id = "change_torrent",
    tag = "torrents",
    params(("hash" = String, Path, description = "40 hex digits")),
    request_body = TorrentChange,
    responses((status = 200, description = "As it is now", body = TorrentDetailView))
)]
async fn change(
    State(site): State<Site>,
    caller: Caller,
    Named(hash): Named<String>,
    Body(change): Body<TorrentChange>,
) -> Result<Json<TorrentDetailView>, Problem> {
    let changed = torrents::change(&site, &caller, &hash, change).await?;
    site.cache.forget(Hot::Popular).await;
    Ok(Json(changed))
}

/// Delete a torrent; for staff. Trackers refuse it within two seconds. Uploaded again by staff, it comes back.
#[utoipa::path(
    delete,
    path = "/api/torrents/{hash}/",
    operation_id = "delete_torrent",
    tag = "torrents",
    params(("hash" = String, Path, description = "40 hex digits")),
    responses((status = 204, description = "Deleted"))
)]
async fn delete(
    State(site): State<Site>,
    Staff(caller): Staff,
    Named(hash): Named<String>,
) -> Result<StatusCode, Problem> {
    torrents::delete(&site, &caller, &hash).await?;
    site.cache.forget(Hot::Popular).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The .torrent with your own announce URL in it: don't pass it on. An API key needs `read` or `feeds`; here and in feeds it
/// may come as `apikey=`, too.
#[utoipa::path(
    get,
    path = "/api/torrents/{hash}/download/",
    operation_id = "download_torrent",
    tag = "torrents",
    security(("bearer" = []), ("apikey" = [])),
    params(("hash" = String, Path, description = "40 hex digits")),
    responses((
        status = 200,
        description = "The .torrent",
        body = inline(TorrentFile),
        content_type = "application/x-bittorrent"
    ))
)]
async fn download(
    State(site): State<Site>,
    Downloader(caller): Downloader,
    Named(hash): Named<String>,
) -> Result<Response, Problem> {
    let download = downloads::download(&site, &caller, &hash).await?;
    let kind = HeaderValue::from_static("application/x-bittorrent");
    let mut response = download.file.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(name) = HeaderValue::from_str(&attachment(&download.name)) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// `Content-Disposition` (RFC 6266): the name in ASCII for old clients, and as it is for the others. Short enough for
/// every file system with what they add to it.
fn attachment(name: &str) -> String {
    let name: String = name.chars().take(120).collect();
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' | ' ' | '(' | ')' | '[' | ']' => c,
        _ => '_',
    };
    let ascii: String = name.chars().map(plain).collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{ascii}.torrent\"; filename*=UTF-8''{encoded}.torrent")
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            attachment("a\"b\\c; d\r\n/ü"),
            "attachment; filename=\"a_b_c_ d___\u{5f}.torrent\"; \
             filename*=UTF-8''a%22b%5Cc%3B%20d%0D%0A%2F%C3%BC.torrent"
        );
    }
}
