//! Torrents as people see them: lists, one of them, and its files. Every list reads along an index, from where the page
//! before ended, and stops when its own page is full.

use sqlx::{Database, Encode, FromRow, Postgres, QueryBuilder, Sqlite, Type};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::registry::TorrentStatus;

use crate::Store;
use crate::category::Category;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::{PATIENCE, Pools, reading};
use crate::torrents::NewFile;

/// Which torrents somebody sees. Nobody sees deleted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Open ones.
    Open,
    /// Open ones, and those of this member's that await moderation.
    Member(UserId),
    /// All, or all of one status.
    Staff(Option<TorrentStatus>),
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The last one first.
    Newest,
    /// The first one first.
    Oldest,
    /// The most bytes first.
    Largest,
    /// The fewest bytes first.
    Smallest,
    /// The most seeders first.
    MostSeeders,
    /// The most snatches first.
    MostSnatches,
    /// The most seeders and leechers first.
    MostPeers,
}

/// A page of a list of torrents.
#[derive(Clone, Debug)]
pub struct TorrentQuery {
    /// Who looks.
    pub sight: Sight,
    /// Words that the name has, the last one its beginning at least. Without a word in it: any name.
    pub search: String,
    /// Of these categories only. Empty: of any.
    pub categories: Vec<Category>,
    /// Of one member only.
    pub uploader: Option<UserId>,
    /// In which order.
    pub sort: Sort,
    /// After the one with this [`Listed::key`]; `None`: from the start.
    pub after: Option<[i64; 2]>,
    /// Without so many of the first; at most [`PAGE_MAX`](crate::PAGE_MAX). The database reads them all the same: `after`
    /// costs less.
    pub skip: u32,
    /// At most so many, and [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: u32,
}

/// A torrent in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Row number.
    pub id: TorrentId,
    /// What clients announce.
    pub info_hash: InfoHash,
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
    /// Who brought it; `None`: the operator.
    pub uploader: Option<String>,
    /// May it be announced?
    pub status: TorrentStatus,
    /// When it was registered.
    pub created_at: UnixTime,
    /// How many files it has.
    pub file_count: u64,
}

/// One torrent, but for its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentDetail {
    /// As lists have it.
    pub listed: Listed,
    /// A hybrid's other hash.
    pub info_hash_v2: Option<InfoHash>,
    /// Who brought it; `None`: the operator.
    pub uploader: Option<UserId>,
    /// Whoever brought it says more.
    pub description: String,
    /// Bytes of a piece.
    pub piece_length: u64,
    /// Marked private (BEP 27)?
    pub private: bool,
}

/// [`ListedRow`]'s.
macro_rules! listed_columns {
    () => {
        "torrents.id, torrents.info_hash, torrents.name, torrents.size, torrents.category, torrents.seeders, \
         torrents.leechers, torrents.completed, users.username as uploader, torrents.status, torrents.created_at, \
         torrents.file_count"
    };
}

const LIST: &str = concat!(
    "select ",
    listed_columns!(),
    "
    from torrents
    left join users on users.id = torrents.uploader_id
    where torrents.deleted_at is null"
);

/// The first rows of one category among several.
const PART: &str = "
    select part.id
    from (
        select torrents.id
        from torrents
        where torrents.deleted_at is null";

const FIND: &str = concat!(
    "select ",
    listed_columns!(),
    ", torrents.info_hash_v2, torrents.uploader_id, torrents.description, torrents.piece_length, torrents.private
    from torrents
    left join users on users.id = torrents.uploader_id
    where torrents.deleted_at is null
        and (torrents.info_hash = $1 or torrents.info_hash_v2 = $1)
    limit 1"
);

const FILES: &str = "
    select path, length
    from torrent_files
    where torrent_id = $1 and position >= $2
    order by position
    limit $3";

const OPEN: &str = "
        and torrents.status = 'open'";

/// Said twice, as SQLite doesn't see that an index of those that aren't open has them.
const PENDING: &str = "
        and torrents.status <> 'open' and torrents.status = 'pending'";

const CLOSED: &str = "
        and torrents.status <> 'open' and torrents.status = 'closed'";

/// The databases' own words for a search. What is looked for comes as one parameter, in their syntax.
pub(crate) trait Dialect: Database {
    const EXPLAIN: &str;
    const SEARCH: [&str; 2];

    /// All of these words, the last one as a beginning. They are letters and digits alone: neither syntax has a meaning
    /// for those between quotes.
    fn all_of(words: &[&str]) -> String;
}

impl Dialect for Sqlite {
    const EXPLAIN: &str = "explain query plan ";

    const SEARCH: [&str; 2] = [
        "
        and torrents.id in (select rowid from torrents_search where torrents_search match ",
        ")",
    ];

    fn all_of(words: &[&str]) -> String {
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        quoted.join(" ") + "*"
    }
}

impl Dialect for Postgres {
    const EXPLAIN: &str = "explain ";

    const SEARCH: [&str; 2] = [
        "
        and torrents.search @@ to_tsquery('simple', ",
        ")",
    ];

    fn all_of(words: &[&str]) -> String {
        let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        quoted.join(" & ") + ":*"
    }
}

/// What looks like a word to people. Everything between is nothing to look for.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

impl Sort {
    /// What it goes by, and whether downwards. Rows that are equal in that go by number.
    fn by(self) -> (&'static str, bool) {
        match self {
            Self::Newest => ("torrents.id", true),
            Self::Oldest => ("torrents.id", false),
            Self::Largest => ("torrents.size", true),
            Self::Smallest => ("torrents.size", false),
            Self::MostSeeders => ("torrents.seeders", true),
            Self::MostSnatches => ("torrents.completed", true),
            Self::MostPeers => ("(torrents.seeders + torrents.leechers)", true),
        }
    }

    /// What it goes by, what the rows after one are to it, and its direction.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self.by() {
            (by, true) => (by, "<", "desc"),
            (by, false) => (by, ">", "asc"),
        }
    }
}

impl TorrentQuery {
    /// An index has the rows of one category in order, and not those of several: then each brings its own first ones, and
    /// few are left to be put in order.
    ///
    /// A plain list has its category, its limit and where a first page begins in its text. So Postgres sees that a plan for
    /// all is as good as one for these, and keeps it: to make one takes it longer than the list. A search's or an uploader's
    /// plan depends on which, and is made each time.
    fn statement<DB>(&self, before: &str) -> QueryBuilder<DB>
    where
        DB: Dialect,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
        String: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let (skip, limit) = (page_limit(self.skip), page_limit(self.limit));
        let mut sql = QueryBuilder::new(before);
        sql.push(LIST);
        match self.categories.as_slice() {
            [] => self.narrow(&mut sql, None),
            [one] => self.narrow(&mut sql, Some(*one)),
            several => {
                let mut between = "\n        and torrents.id in (";
                for category in several {
                    sql.push(between);
                    sql.push(PART);
                    self.narrow(&mut sql, Some(*category));
                    self.order(&mut sql);
                    sql.push("\n    limit ");
                    sql.push_bind(skip + limit);
                    sql.push(") as part");
                    between = "\n        union all ";
                }
                sql.push(")");
            }
        }
        self.order(&mut sql);
        sql.push("\n    limit ");
        match self.is_plain() {
            true => sql.push(limit),
            false => sql.push_bind(limit).push(" offset ").push_bind(skip),
        };
        sql
    }

    fn is_plain(&self) -> bool {
        self.categories.len() <= 1
            && self.skip == 0
            && self.uploader.is_none()
            && words(&self.search).is_empty()
    }

    /// Always from some key on: without one, SQLite would rather read the whole table and sort it.
    fn narrow<DB>(&self, sql: &mut QueryBuilder<DB>, category: Option<Category>)
    where
        DB: Dialect,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
        String: for<'q> Encode<'q, DB> + Type<DB>,
    {
        match self.sight {
            Sight::Open | Sight::Staff(Some(TorrentStatus::Open)) => {
                sql.push(OPEN);
            }
            Sight::Staff(Some(TorrentStatus::Pending)) => {
                sql.push(PENDING);
            }
            Sight::Staff(Some(TorrentStatus::Closed)) => {
                sql.push(CLOSED);
            }
            Sight::Staff(None) => {}
            Sight::Member(user) => {
                sql.push("\n        and (torrents.status = 'open' or (torrents.status = 'pending' and torrents.uploader_id = ");
                sql.push_bind(i64::from(user.0));
                sql.push("))");
            }
        }
        if let Some(category) = category {
            sql.push("\n        and torrents.category = ");
            match self.is_plain() {
                true => sql.push(format_args!("'{}'", category.word())),
                false => sql.push_bind(category.word().to_owned()),
            };
        }
        if let Some(user) = self.uploader {
            sql.push("\n        and torrents.uploader_id = ");
            sql.push_bind(i64::from(user.0));
        }
        let words = words(&self.search);
        if !words.is_empty() {
            let [start, end] = DB::SEARCH;
            sql.push(start);
            sql.push_bind(DB::all_of(&words));
            sql.push(end);
        }
        let (by, beyond, _) = self.sort.words();
        // Nothing that a list goes by is below zero.
        let first = if beyond == "<" { i64::MAX } else { -1 };
        let is_in_text = self.is_plain() && self.after.is_none();
        let push_key = |sql: &mut QueryBuilder<DB>, key: i64| {
            match is_in_text {
                true => sql.push(key),
                false => sql.push_bind(key),
            };
        };
        let [key, id] = self.after.unwrap_or([first; 2]);
        if by == "torrents.id" {
            sql.push(format_args!("\n        and torrents.id {beyond} "));
            push_key(sql, id);
        } else {
            sql.push(format_args!("\n        and ({by}, torrents.id) {beyond} ("));
            push_key(sql, key);
            sql.push(", ");
            push_key(sql, id);
            sql.push(")");
        }
    }

    fn order<DB: Database>(&self, sql: &mut QueryBuilder<DB>) {
        let (by, _, order) = self.sort.words();
        sql.push(format_args!("\n    order by "));
        if by != "torrents.id" {
            sql.push(format_args!("{by} {order}, "));
        }
        sql.push(format_args!("torrents.id {order}"));
    }
}

impl Listed {
    /// What a page that begins after it must know, in this order.
    pub fn key(&self, sort: Sort) -> [i64; 2] {
        let id = i64::from(self.id.0);
        let by = match sort {
            Sort::Newest | Sort::Oldest => 0,
            Sort::Largest | Sort::Smallest => columns::bigint(self.size),
            Sort::MostSeeders => columns::bigint(self.seeders),
            Sort::MostSnatches => columns::bigint(self.completed),
            Sort::MostPeers => columns::bigint(self.seeders.saturating_add(self.leechers)),
        };
        [by, id]
    }
}

impl Store {
    /// A page of a list of torrents.
    pub async fn list_torrents(&self, query: &TorrentQuery) -> Result<Vec<Listed>> {
        let is_search = !words(&query.search).is_empty();
        let _turn = match is_search {
            true => Some(self.turn_to_search().await?),
            false => None,
        };
        let rows: Vec<ListedRow> = match &self.pools {
            Pools::Sqlite { readers, .. } => {
                let mut sql = query.statement::<Sqlite>("");
                sql.build_query_as().fetch_all(readers).await?
            }
            Pools::Postgres(pool) => {
                let mut sql = query.statement::<Postgres>("");
                sql.build_query_as().fetch_all(pool).await?
            }
        };
        rows.into_iter().map(Listed::try_from).collect()
    }

    async fn turn_to_search(&self) -> Result<SemaphorePermit<'_>> {
        let turn = timeout(PATIENCE, self.searches.acquire()).await;
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }

    /// How the database would find that page, in its own words: a test reads whether along an index.
    #[doc(hidden)]
    pub async fn explain_torrents(&self, query: &TorrentQuery) -> Result<Vec<String>> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => {
                let mut sql = query.statement::<Sqlite>(Sqlite::EXPLAIN);
                let rows: Vec<(i64, i64, i64, String)> =
                    sql.build_query_as().fetch_all(readers).await?;
                Ok(rows.into_iter().map(|row| row.3).collect())
            }
            Pools::Postgres(pool) => {
                let mut sql = query.statement::<Postgres>(Postgres::EXPLAIN);
                Ok(sql.build_query_scalar().fetch_all(pool).await?)
            }
        }
    }

    /// The torrent that a hash leads to, v1's or v2's, unless it was deleted.
    pub async fn torrent_detail(&self, hash: &InfoHash) -> Result<Option<TorrentDetail>> {
        let row: Option<DetailRow> = reading!(self, |pool| {
            sqlx::query_as(FIND)
                .bind(hash.0.as_slice())
                .fetch_optional(pool)
                .await
        })?;
        row.map(TorrentDetail::try_from).transpose()
    }

    /// A torrent's files, in its own order: those from the one of that number on, counted from 0, at most `limit` and
    /// [`PAGE_MAX`](crate::PAGE_MAX) of them.
    pub async fn torrent_files(
        &self,
        torrent: TorrentId,
        from: i64,
        limit: u32,
    ) -> Result<Vec<NewFile>> {
        let rows: Vec<(String, i64)> = reading!(self, |pool| {
            sqlx::query_as(FILES)
                .bind(i64::from(torrent.0))
                .bind(from)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter()
            .map(|(path, length)| {
                let length = columns::count(length, "torrent_files.length")?;
                Ok(NewFile { path, length })
            })
            .collect()
    }
}

#[derive(FromRow)]
struct ListedRow {
    id: i64,
    info_hash: Vec<u8>,
    name: String,
    size: i64,
    category: String,
    seeders: i64,
    leechers: i64,
    completed: i64,
    uploader: Option<String>,
    status: String,
    created_at: i64,
    file_count: i64,
}

#[derive(FromRow)]
struct DetailRow {
    #[sqlx(flatten)]
    listed: ListedRow,
    info_hash_v2: Option<Vec<u8>>,
    uploader_id: Option<i64>,
    description: String,
    piece_length: i64,
    private: bool,
}

impl TryFrom<ListedRow> for Listed {
    type Error = StoreError;

    fn try_from(row: ListedRow) -> Result<Self> {
        Ok(Self {
            id: TorrentId(columns::id(row.id, "torrents.id")?),
            info_hash: InfoHash(columns::array(&row.info_hash, "torrents.info_hash")?),
            name: row.name,
            size: columns::count(row.size, "torrents.size")?,
            category: Category::parse(&row.category)?,
            seeders: columns::count(row.seeders, "torrents.seeders")?,
            leechers: columns::count(row.leechers, "torrents.leechers")?,
            completed: columns::count(row.completed, "torrents.completed")?,
            uploader: row.uploader,
            status: TorrentStatus::parse(&row.status)?,
            created_at: columns::time(row.created_at, "torrents.created_at")?,
            file_count: columns::count(row.file_count, "torrents.file_count")?,
        })
    }
}

impl TryFrom<DetailRow> for TorrentDetail {
    type Error = StoreError;

    fn try_from(row: DetailRow) -> Result<Self> {
        let uploader = row
            .uploader_id
            .map(|id| columns::id(id, "torrents.uploader_id"));
        let info_hash_v2 = columns::maybe_array(row.info_hash_v2, "torrents.info_hash_v2")?;
        Ok(Self {
            listed: row.listed.try_into()?,
            info_hash_v2: info_hash_v2.map(InfoHash),
            uploader: uploader.transpose()?.map(UserId),
            description: row.description,
            piece_length: columns::count(row.piece_length, "torrents.piece_length")?,
            private: row.private,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_words_and_nothing_else() {
        let typed = "The.Film-2024 \"quoted\" NOT (x OR y*) : ' & | ! \0 \\ naïve 東京";
        let found = words(typed);
        assert_eq!(
            found,
            [
                "The", "Film", "2024", "quoted", "NOT", "x", "OR", "y", "naïve", "東京"
            ]
        );
        assert_eq!(words(" !&* "), [""; 0]);
        assert_eq!(Sqlite::all_of(&["NOT", "a"]), "\"NOT\" \"a\"*");
        assert_eq!(Postgres::all_of(&["NOT", "a"]), "'NOT' & 'a':*");
    }
}
