//! An upload as `multipart/form-data`.

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use tracker_core::bencode;

use crate::problem::Problem;
use crate::services::uploads::Upload;
use crate::site::Site;

/// Of the whole body. More than a file may have: one that is somewhat too large is read to its end, as most clients only
/// then read what we say of it.
pub(crate) const FORM_MAX: usize = 16 * 1024 * 1024;

/// Of a field that is text: more than the longest description.
const TEXT_MAX: usize = 256 * 1024;

impl FromRequest<Site> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Problem> {
        let form = Multipart::from_request(request, site).await;
        let mut form = form.map_err(|_| {
            Problem::UNSUPPORTED.detail("send a form, as `Content-Type: multipart/form-data`")
        })?;
        let mut upload = Self::default();
        let mut wrong = Problem::INVALID;
        let mut is_too_large = false;
        while let Some(field) = form.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            let (max, is_twice) = match name.as_str() {
                "file" => (bencode::MAX_LEN, upload.file.is_some()),
                "name" => (TEXT_MAX, upload.name.is_some()),
                "category" => (TEXT_MAX, upload.category.is_some()),
                "description" => (TEXT_MAX, upload.description.is_some()),
                _ => {
                    wrong = wrong.and(name, "there is no such field");
                    continue;
                }
            };
            let bytes = read(field, max).await?;
            let Some(bytes) = bytes else {
                is_too_large = true;
                continue;
            };
            if is_twice {
                wrong = wrong.and(name, "once");
                continue;
            }
            if name == "file" {
                upload.file = Some(bytes);
                continue;
            }
            let Ok(text) = String::from_utf8(bytes) else {
                wrong = wrong.and(name, "text in UTF-8");
                continue;
            };
            match name.as_str() {
                "name" => upload.name = Some(text),
                "category" => upload.category = Some(text),
                _ => upload.description = Some(text),
            }
        }
        if is_too_large {
            return Err(Problem::TOO_LARGE.detail(format!(
                "a .torrent has at most {} MiB",
                bencode::MAX_LEN / (1024 * 1024)
            )));
        }
        wrong.unless_none()?;
        Ok(upload)
    }
}

/// `None`: it is longer. It is read to its end all the same.
async fn read(mut field: Field<'_>, max: usize) -> Result<Option<Vec<u8>>, Problem> {
    let mut bytes = Vec::new();
    let mut is_longer = false;
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        is_longer |= bytes.len() + chunk.len() > max;
        if !is_longer {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok((!is_longer).then_some(bytes))
}

fn unreadable(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
        _ => Problem::MALFORMED.detail(format!("the form can't be read: {}", error.body_text())),
    }
}
