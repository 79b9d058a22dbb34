//! How a .torrent becomes a registered torrent: for members who upload one, and for `purser add-torrent`.

use serde::{Deserialize, Serialize};
use store::{NewFile, NewTorrent, Store, StoreError};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::metainfo::{Error, File, Metainfo, for_member, made_private};
use tracker_core::registry::{RegisteredTorrent, TorrentStatus};
use utoipa::ToSchema;

use super::torrents::{Category, TorrentDetailView, detail};
use crate::caller::Caller;
use crate::names;
use crate::problem::Problem;
use crate::site::Site;

/// What a member sends, as far as it was there.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// The .torrent.
    pub file: Option<Vec<u8>>,
    /// What people shall call it.
    pub name: Option<String>,
    /// What it is about.
    pub category: Option<String>,
    /// More of it.
    pub description: Option<String>,
}

/// A .torrent, and what its uploader says of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadForm {
    /// The .torrent: 10 MiB at most.
    #[schema(value_type = String, format = Binary, content_media_type = "application/x-bittorrent")]
    pub file: Vec<u8>,
    /// What people shall call it; the .torrent's own name, if not given.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    pub name: Option<String>,
    /// `other`, if not given.
    #[schema(nullable = false)]
    pub category: Option<Category>,
    /// More of it.
    #[schema(max_length = 20000, nullable = false)]
    pub description: Option<String>,
}

/// A torrent that was just registered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// As everybody sees it.
    #[serde(flatten)]
    pub torrent: TorrentDetailView,
    /// Whether it was marked private here. Its info hash is another one then: whoever made it downloads it again.
    pub private_added: bool,
    /// The same in words; `null`: nothing is to be done.
    #[schema(required)]
    pub detail: Option<String>,
}

/// What becomes of a .torrent that isn't marked private (BEP 27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// It stays so.
    AsItIs,
    /// It is marked, which gives it another info hash.
    Private,
}

/// Who registers a torrent, which says whether one that was deleted comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// At the command line: it does.
    Operator,
    /// It does.
    Staff(UserId),
    /// It doesn't.
    Member,
}

/// What came of registering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is there now.
    Now,
    /// One of its hashes leads to this one already.
    Before(RegisteredTorrent),
    /// The same, and that one was deleted.
    Deleted(RegisteredTorrent),
}

/// Reads a .torrent: an open torrent of nobody's, and whether it was marked private here.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(bytes: &[u8], marking: Marking) -> Result<(NewTorrent, bool), Error> {
    // Before anything is made of it: everything that it is refused for.
    let meta = Metainfo::parse(bytes)?;
    let made = match marking {
        Marking::AsItIs => None,
        Marking::Private => made_private(bytes)?,
    };
    let (bytes, meta) = match &made {
        Some(made) => (made.as_slice(), Metainfo::parse(made)?),
        None => (bytes, meta),
    };
    let file = |File { path, length }| NewFile { path, length };
    let torrent = NewTorrent {
        info_hash: meta.info_hash,
        info_hash_v2: meta.info_hash_v2,
        name: meta.name,
        size: meta.size,
        piece_length: meta.piece_length.into(),
        private: meta.private,
        category: store::Category::default(),
        description: String::new(),
        status: TorrentStatus::Open,
        uploader: None,
        files: meta.files.into_iter().map(file).collect(),
        // Without the announce URL of whoever made it: it may hold their key.
        metainfo: for_member(bytes, "")?,
        created_at: UnixTime::now(),
    };
    Ok((torrent, made.is_some()))
}

/// Registers a torrent, unless it is there. One that was deleted comes back, if it isn't for a member to say.
///
/// # Errors
///
/// When the database can't take it.
pub async fn register(
    store: &Store,
    torrent: &NewTorrent,
    by: By,
) -> Result<Registered, StoreError> {
    let taken = match store.add_torrent(torrent).await {
        Ok(_) => return Ok(Registered::Now),
        Err(error @ StoreError::Duplicate { .. }) => error,
        Err(error) => return Err(error),
    };
    let now = torrent.created_at;
    let is_back = match by {
        By::Operator => store.restore_torrent(torrent, None, now).await?,
        By::Staff(actor) => store.restore_torrent(torrent, Some(actor), now).await?,
        By::Member => false,
    };
    if is_back {
        return Ok(Registered::Now);
    }
    for hash in [Some(torrent.info_hash), torrent.info_hash_v2] {
        let Some(hash) = hash else { continue };
        if let Some(found) = store.find_torrent(&hash).await? {
            return Ok(match store.is_deleted(found.id).await? {
                true => Registered::Deleted(found),
                false => Registered::Before(found),
            });
        }
    }
    Err(taken)
}

/// A member's upload: everything that is wrong with it, or the torrent.
pub(crate) async fn upload(
    site: &Site,
    caller: &Caller,
    upload: Upload,
) -> Result<Uploaded, Problem> {
    let mut wrong = Problem::INVALID;
    let read = match upload.file {
        None => Err("a .torrent".to_owned()),
        // The parser takes some milliseconds for the largest.
        Some(bytes) => {
            let read = tokio::task::spawn_blocking(move || read(&bytes, Marking::Private)).await;
            let read = read.map_err(|error| {
                tracing::error!(%error, "a .torrent couldn't be read");
                Problem::INTERNAL
            })?;
            read.map_err(|error| error.to_string())
        }
    };
    if let Err(right) = &read {
        wrong = wrong.and("file", right);
    }
    let category = match upload.category.as_deref() {
        None => Some(store::Category::default()),
        Some(name) => store::Category::find(name),
    };
    if category.is_none() {
        wrong = wrong.and("category", Category::choices());
    }
    let description = upload.description.unwrap_or_default();
    if let Err(right) = names::check_description(&description) {
        wrong = wrong.and("description", right);
    }
    if let Some(Err(right)) = upload.name.as_deref().map(names::check_title) {
        wrong = wrong.and("name", right);
    }
    wrong.unless_none()?;
    let (mut torrent, private_added) = read.map_err(|right| Problem::invalid("file", right))?;
    if upload.name.is_none() {
        let named = names::check_title(&torrent.name);
        named.map_err(|right| {
            Problem::invalid("file", format!("its name: {right}; or give a `name`"))
        })?;
    }
    torrent.category = category.unwrap_or_default();
    torrent.description = description;
    torrent.uploader = Some(caller.user.id);
    if let Some(name) = upload.name {
        torrent.name = name;
    }
    let by = match caller.is_staff() {
        true => By::Staff(caller.user.id),
        false => By::Member,
    };
    match register(&site.store, &torrent, by).await? {
        Registered::Now => {}
        Registered::Before(found) => {
            let hash = found.info_hash;
            return Err(Problem::TAKEN.detail(format!("{hash} is registered already")));
        }
        Registered::Deleted(found) => {
            let hash = found.info_hash;
            return Err(Problem::TAKEN.detail(format!(
                "{hash} was deleted: staff can bring it back, by uploading it again"
            )));
        }
    }
    let told = "it wasn't marked private, so it was marked here, which changed its info hash: download it again, and seed \
                with that file";
    Ok(Uploaded {
        torrent: detail(site, caller, &torrent.info_hash.to_string()).await?,
        private_added,
        detail: private_added.then(|| told.to_owned()),
    })
}
