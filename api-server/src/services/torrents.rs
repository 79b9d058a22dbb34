//! Torrents: finding them, and what is said of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::{Freeleech, Listed, NewFile, Sight, Sort, TorrentDetail, TorrentEdit, TorrentQuery};
use tracker_core::ids::{InfoHash, UserId};
use tracker_core::registry;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::caller::Caller;
use crate::names;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// Characters that somebody looks for at most.
pub(super) const SEARCH_MAX: usize = 200;

/// The popular ones.
const POPULAR: u32 = 50;

/// Files that a torrent's detail has: more than people read.
const DETAIL_FILES: u32 = 1000;

/// What a torrent is about: one of the store's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Category(pub store::Category);

/// Whether a torrent may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TorrentStatus {
    /// Yes, and everybody sees it.
    Open,
    /// It awaits moderation: nobody gets peers.
    Pending,
    /// No.
    Closed,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Order {
    /// The last one first.
    #[default]
    #[serde(rename = "-created")]
    Newest,
    /// The first one first.
    #[serde(rename = "created")]
    Oldest,
    /// The most bytes first.
    #[serde(rename = "-size")]
    Largest,
    /// The fewest bytes first.
    #[serde(rename = "size")]
    Smallest,
    /// The most seeders first.
    #[serde(rename = "-seeders")]
    MostSeeders,
    /// The most snatches first.
    #[serde(rename = "-completed")]
    MostSnatches,
}

/// Which torrents are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Words of the name, the last one its beginning at least.
    #[param(max_length = 200, example = "brown fo")]
    pub search: String,
    /// Of one category only.
    #[param(inline)]
    pub category: Option<Category>,
    /// `-created` if not given. A minus is downwards.
    #[param(inline)]
    pub sort: Option<Order>,
    /// Of one member only: their name.
    pub uploader: Option<String>,
    /// Of one status only; for staff.
    #[param(inline)]
    pub status: Option<TorrentStatus>,
    /// Rows of a page: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// The `next` of the page before, with the same `sort`.
    pub cursor: Option<String>,
}

/// A torrent in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TorrentView {
    /// What clients announce.
    #[schema(example = "c9e15763f722f23e98a29decdfae341b98d53056")]
    pub info_hash: String,
    /// What people call it.
    pub name: String,
    /// Bytes of all files together.
    pub size: u64,
    /// What it is about.
    pub category: Category,
    /// Now.
    pub seeders: u64,
    /// Now.
    pub leechers: u64,
    /// Snatches so far.
    pub completed: u64,
    /// Who brought it; `null`: the operator.
    #[schema(required)]
    pub uploader: Option<String>,
    /// Whether downloads don't count, for everybody, at the moment.
    pub freeleech: bool,
    /// May it be announced?
    pub status: TorrentStatus,
    /// When it was registered.
    pub created_at: Time,
    /// How many files it has.
    pub file_count: u64,
}

/// A file of a torrent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FileView {
    /// With `/` between its parts.
    pub path: String,
    /// In bytes.
    pub length: u64,
}

/// One torrent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TorrentDetailView {
    /// As lists have it.
    #[serde(flatten)]
    pub torrent: TorrentView,
    /// Whoever brought it says more.
    pub description: String,
    /// In the .torrent's order, the first 1000. `file_count` says how many there are, `/api/torrents/{hash}/files/` has all.
    #[schema(max_items = 1000)]
    pub files: Vec<FileView>,
    /// Bytes of a piece.
    pub piece_length: u64,
    /// Whether its clients find peers here only.
    pub private: bool,
    /// A hybrid's other hash, shortened as clients announce it; `null`: it has none.
    #[schema(required)]
    pub info_hash_v2: Option<String>,
}

/// The torrents that most are in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Popular {
    /// 50 at most.
    pub results: Vec<TorrentView>,
    /// There is no next page: `null`.
    #[schema(required)]
    pub next: Option<String>,
}

/// What changes of a torrent. What isn't there stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TorrentChange {
    /// Another name. Files and folders keep theirs.
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// Another category.
    pub category: Option<Category>,
    /// Another description.
    #[schema(max_length = 20000)]
    pub description: Option<String>,
    /// For staff.
    pub status: Option<TorrentStatus>,
}

/// A page of the torrents that the caller may see.
pub(crate) async fn list(
    site: &Site,
    caller: &Caller,
    wanted: Wanted,
) -> Result<Page<TorrentView>, Problem> {
    let paging = Paging {
        limit: wanted.limit,
        cursor: wanted.cursor,
    };
    let (limit, cursor) = paging.read::<3>()?;
    let order = wanted.sort.unwrap_or_default();
    let after = match cursor {
        None => None,
        Some([of, key, id]) if of == order as i64 => Some([key, id]),
        Some(_) => {
            let right = "the `next` of a page of this list, in the same order";
            return Err(Problem::invalid("cursor", right));
        }
    };
    if wanted.search.chars().count() > SEARCH_MAX {
        let right = format!("at most {SEARCH_MAX} characters");
        return Err(Problem::invalid("search", right));
    }
    let sight = match (caller.is_staff(), wanted.status) {
        (true, status) => Sight::Staff(status.map(Into::into)),
        (false, None) => Sight::Member(caller.user.id),
        (false, Some(_)) => return Err(Problem::FORBIDDEN.detail("`status` is for staff")),
    };
    let uploader = match wanted.uploader {
        None => None,
        Some(name) => match find_uploader(site, &name).await? {
            None => {
                return Ok(Page::new(
                    Vec::<Listed>::new(),
                    limit,
                    |_| [0; 3],
                    |row| TorrentView::new(row, &Freeleech::default()),
                ));
            }
            found => found,
        },
    };
    let sort = order.into();
    let query = TorrentQuery {
        sight,
        search: wanted.search,
        categories: wanted
            .category
            .map(|category| category.0)
            .into_iter()
            .collect(),
        uploader,
        sort,
        after,
        skip: 0,
        limit: limit + 1,
    };
    let rows = site.store.list_torrents(&query).await?;
    let key = |row: &Listed| {
        let [key, id] = row.key(sort);
        [order as i64, key, id]
    };
    let freeleech = site.store.freeleech(site.now()).await?;
    Ok(Page::new(rows, limit, key, |row| {
        TorrentView::new(row, &freeleech)
    }))
}

/// Nobody has a name that nobody could have: the database isn't asked for it.
pub(super) async fn find_uploader(site: &Site, name: &str) -> Result<Option<UserId>, Problem> {
    if names::check(name).is_err() {
        return Ok(None);
    }
    let user = site.store.find_user(name).await?;
    Ok(user.map(|user| user.id))
}

/// The open torrents that have the most peers.
pub(crate) async fn popular(site: &Site) -> Result<Popular, Problem> {
    let query = TorrentQuery {
        sight: Sight::Open,
        search: String::new(),
        categories: Vec::new(),
        uploader: None,
        sort: Sort::MostPeers,
        after: None,
        skip: 0,
        limit: POPULAR,
    };
    let rows = site.store.list_torrents(&query).await?;
    let freeleech = site.store.freeleech(site.now()).await?;
    let view = |row| TorrentView::new(row, &freeleech);
    Ok(Popular {
        results: rows.into_iter().map(view).collect(),
        next: None,
    })
}

/// One torrent, by either hash, if the caller may see it.
pub(crate) async fn find(
    site: &Site,
    caller: &Caller,
    hash: &str,
) -> Result<TorrentDetail, Problem> {
    let hash: InfoHash = hash.parse().map_err(|_| Problem::NOT_FOUND)?;
    let found = site.store.torrent_detail(&hash).await?;
    let is_seen = |found: &TorrentDetail| match found.listed.status {
        registry::TorrentStatus::Open => true,
        registry::TorrentStatus::Pending => caller.is_staff() || is_theirs(caller, found),
        registry::TorrentStatus::Closed => caller.is_staff(),
    };
    found.filter(is_seen).ok_or(Problem::NOT_FOUND)
}

fn is_theirs(caller: &Caller, torrent: &TorrentDetail) -> bool {
    torrent.uploader == Some(caller.user.id)
}

/// The same, with its files.
pub(crate) async fn detail(
    site: &Site,
    caller: &Caller,
    hash: &str,
) -> Result<TorrentDetailView, Problem> {
    let found = find(site, caller, hash).await?;
    let files = site
        .store
        .torrent_files(found.listed.id, 0, DETAIL_FILES)
        .await?;
    let freeleech = site.store.freeleech(site.now()).await?;
    Ok(TorrentDetailView {
        torrent: TorrentView::new(found.listed, &freeleech),
        description: found.description,
        files: files.into_iter().map(FileView::from).collect(),
        piece_length: found.piece_length,
        private: found.private,
        info_hash_v2: found.info_hash_v2.map(|hash| hash.to_string()),
    })
}

/// All of its files, in pages.
pub(crate) async fn files(
    site: &Site,
    caller: &Caller,
    hash: &str,
    paging: &Paging,
) -> Result<Page<FileView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [from] = cursor.unwrap_or([0_i64]);
    let torrent = find(site, caller, hash).await?.listed.id;
    let rows = site.store.torrent_files(torrent, from, limit + 1).await?;
    let next = from.saturating_add(limit.into());
    Ok(Page::new(rows, limit, |_| [next], FileView::from))
}

/// By whoever brought it, and by staff.
pub(crate) async fn change(
    site: &Site,
    caller: &Caller,
    hash: &str,
    change: TorrentChange,
) -> Result<TorrentDetailView, Problem> {
    let found = find(site, caller, hash).await?;
    if !caller.is_staff() && !is_theirs(caller, &found) {
        return Err(Problem::FORBIDDEN.detail("it is somebody else's"));
    }
    if !caller.is_staff() && change.status.is_some() {
        return Err(Problem::FORBIDDEN.detail("`status` is for staff"));
    }
    let mut wrong = Problem::INVALID;
    if let Some(Err(right)) = change.name.as_deref().map(names::check_title) {
        wrong = wrong.and("name", right);
    }
    if let Some(Err(right)) = change.description.as_deref().map(names::check_description) {
        wrong = wrong.and("description", right);
    }
    wrong.unless_none()?;
    let edit = TorrentEdit {
        name: change.name,
        category: change.category.map(|category| category.0),
        description: change.description,
        status: change.status.map(Into::into),
    };
    if edit != TorrentEdit::default() {
        let torrent = found.listed.id;
        site.store
            .change_torrent(torrent, &edit, caller.user.id, site.now())
            .await?;
    }
    detail(site, caller, hash).await
}

/// By staff.
pub(crate) async fn delete(site: &Site, caller: &Caller, hash: &str) -> Result<(), Problem> {
    let found = find(site, caller, hash).await?;
    let (torrent, actor) = (found.listed.id, caller.user.id);
    Ok(site
        .store
        .delete_torrent(torrent, actor, site.now())
        .await?)
}

impl From<NewFile> for FileView {
    fn from(file: NewFile) -> Self {
        Self {
            path: file.path,
            length: file.length,
        }
    }
}

impl TorrentView {
    pub(crate) fn new(row: Listed, freeleech: &Freeleech) -> Self {
        Self {
            freeleech: freeleech.holds(row.id),
            info_hash: row.info_hash.to_string(),
            name: row.name,
            size: row.size,
            category: Category(row.category),
            seeders: row.seeders,
            leechers: row.leechers,
            completed: row.completed,
            uploader: row.uploader,
            status: row.status.into(),
            created_at: row.created_at.into(),
            file_count: row.file_count,
        }
    }
}

impl From<Order> for Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::Newest => Self::Newest,
            Order::Oldest => Self::Oldest,
            Order::Largest => Self::Largest,
            Order::Smallest => Self::Smallest,
            Order::MostSeeders => Self::MostSeeders,
            Order::MostSnatches => Self::MostSnatches,
        }
    }
}

impl From<registry::TorrentStatus> for TorrentStatus {
    fn from(status: registry::TorrentStatus) -> Self {
        match status {
            registry::TorrentStatus::Open => Self::Open,
            registry::TorrentStatus::Pending => Self::Pending,
            registry::TorrentStatus::Closed => Self::Closed,
        }
    }
}

impl From<TorrentStatus> for registry::TorrentStatus {
    fn from(status: TorrentStatus) -> Self {
        match status {
            TorrentStatus::Open => Self::Open,
            TorrentStatus::Pending => Self::Pending,
            TorrentStatus::Closed => Self::Closed,
        }
    }
}

impl Category {
    /// What would be right.
    pub(crate) fn choices() -> String {
        let names: Vec<_> = store::Category::ALL.iter().map(|one| one.name()).collect();
        format!("one of {}", names.join(", "))
    }
}

impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = store::Category::find(&name);
        let found = found.ok_or_else(|| serde::de::Error::custom(Self::choices()))?;
        Ok(Self(found))
    }
}

impl PartialSchema for Category {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("What a torrent is about."))
            .enum_values(Some(store::Category::ALL.iter().map(|one| one.name())))
            .into()
    }
}

impl ToSchema for Category {}
