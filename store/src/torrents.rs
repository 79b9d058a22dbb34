//! Registered torrents: what they contain, the file itself, and whether they may be announced.

use sqlx::{FromRow, Postgres, Sqlite, Transaction};
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::registry::{RegisteredTorrent, TorrentStatus};

use crate::Store;
use crate::audit::record_audit;
use crate::category::Category;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word, bigint};
use crate::error::{Result, StoreError};
use crate::roster::TorrentRow;
use crate::store::reading;
use crate::users::found_one;

/// A torrent to be registered.
#[derive(Clone, Debug)]
pub struct NewTorrent {
    /// The hash that clients announce: v1's, or for a v2-only torrent the shortened SHA-256.
    pub info_hash: InfoHash,
    /// A hybrid's other hash.
    pub info_hash_v2: Option<InfoHash>,
    /// As the .torrent names it. Postgres keeps no NUL: the metainfo parser refuses one.
    pub name: String,
    /// Bytes of all files together.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u64,
    /// Marked private (BEP 27)?
    pub private: bool,
    /// What it is about.
    pub category: Category,
    /// Whoever brought it says more.
    pub description: String,
    /// May it be announced at once?
    pub status: TorrentStatus,
    /// Who brought it; `None`: the operator.
    pub uploader: Option<UserId>,
    /// In the .torrent's order.
    pub files: Vec<NewFile>,
    /// The .torrent, its info bytes as they were given, and nobody's announce URL.
    pub metainfo: Vec<u8>,
    /// When it was registered.
    pub created_at: UnixTime,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// With `/` between its parts.
    pub path: String,
    /// In bytes.
    pub length: u64,
}

/// What changes of a torrent; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentEdit {
    /// What people call it. Clients go by the .torrent's own.
    pub name: Option<String>,
    /// What it is about.
    pub category: Option<Category>,
    /// More of it.
    pub description: Option<String>,
    /// May it be announced?
    pub status: Option<TorrentStatus>,
}

const CREATE: &str = "
    insert into torrents (
        info_hash, info_hash_v2, name, size, piece_length, file_count, private, category, description,
        status, uploader_id, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    returning id";

const CREATE_METAINFO: &str = "
    insert into torrent_metainfo (torrent_id, file)
    values ($1, $2)";

const CREATE_FILE: &str = "
    insert into torrent_files (torrent_id, position, path, length)
    values ($1, $2, $3, $4)";

const CREATE_FILES_POSTGRES: &str = "
    insert into torrent_files (torrent_id, position, path, length)
    select $1, position, path, length
    from unnest($2::bigint[], $3::text[], $4::bigint[]) as file (position, path, length)";

/// Both hashes in both columns: a hybrid must not share a swarm's name with somebody else's v2-only torrent.
const FIND: &str = "
    select id, info_hash, info_hash_v2, status, completed
    from torrents
    where info_hash in ($1, $2)
        or info_hash_v2 in ($1, $2)
    limit 1";

/// What isn't given stays.
const CHANGE: &str = "
    update torrents
    set name = coalesce($1, name),
        category = coalesce($2, category),
        description = coalesce($3, description),
        status = coalesce($4, status)
    where id = $5 and deleted_at is null";

/// Its row as it was, for whoever reads in the audit what became of it.
const BEFORE: &str = "
    select info_hash, name, category, status
    from torrents
    where id = $1 and deleted_at is null";

/// What its hash says stays, its number and its age too.
const RESTORE: &str = "
    update torrents
    set deleted_at = null, name = $1, category = $2, description = $3, status = $4, uploader_id = $5
    where info_hash = $6 and deleted_at is not null
    returning id";

const REPLACE_METAINFO: &str = "
    update torrent_metainfo
    set file = $1
    where torrent_id = $2";

const IS_DELETED: &str = "
    select count(*)
    from torrents
    where id = $1 and deleted_at is not null";

/// Closed, so that trackers refuse it: they know of no other end.
const DELETE: &str = "
    update torrents
    set deleted_at = $1, status = 'closed'
    where id = $2 and deleted_at is null";

const METAINFO: &str = "
    select file
    from torrent_metainfo
    where torrent_id = $1";

const SET_STATUS: &str = "
    update torrents
    set status = $1
    where id = $2";

impl Store {
    /// Registers a torrent, with its files. `Duplicate` when either hash leads to a torrent already.
    pub async fn add_torrent(&self, new: &NewTorrent) -> Result<TorrentId> {
        let v1 = new.info_hash.0.as_slice();
        let v2 = new.info_hash_v2.as_ref().map(|hash| hash.0.as_slice());
        changing!(self, |tx, change| {
            // Taking the number also keeps other writers out, so nobody adds the same hash to the other column now.
            let existing: Option<TorrentRow> = sqlx::query_as(FIND)
                .bind(v1)
                .bind(v2)
                .fetch_optional(&mut *tx)
                .await?;
            if existing.is_some() {
                return Err(StoreError::Duplicate { what: "info hash" });
            }
            let id: i64 = sqlx::query_scalar(CREATE)
                .bind(v1)
                .bind(v2)
                .bind(&new.name)
                .bind(bigint(new.size))
                .bind(bigint(new.piece_length))
                .bind(bigint(new.files.len() as u64))
                .bind(new.private)
                .bind(new.category.word())
                .bind(&new.description)
                .bind(new.status.word())
                .bind(new.uploader.map(|user| i64::from(user.0)))
                .bind(i64::from(new.created_at.0))
                .fetch_one(&mut *tx)
                .await?;
            sqlx::query(CREATE_METAINFO)
                .bind(id)
                .bind(new.metainfo.as_slice())
                .execute(&mut *tx)
                .await?;
            tx.insert_files(id, &new.files).await?;
            let id = TorrentId(columns::id(id, "torrents.id")?);
            record_change!(tx, change, Changed::Torrent(id), new.created_at);
            id
        })
    }

    /// The torrent that a hash leads to, v1's or v2's.
    pub async fn find_torrent(&self, hash: &InfoHash) -> Result<Option<RegisteredTorrent>> {
        let hash = hash.0.as_slice();
        let row: Option<TorrentRow> = reading!(self, |pool| {
            sqlx::query_as(FIND)
                .bind(hash)
                .bind(hash)
                .fetch_optional(pool)
                .await
        })?;
        row.map(RegisteredTorrent::try_from).transpose()
    }

    /// Whether a torrent was deleted.
    pub async fn is_deleted(&self, torrent: TorrentId) -> Result<bool> {
        let found: i64 = reading!(self, |pool| {
            sqlx::query_scalar(IS_DELETED)
                .bind(i64::from(torrent.0))
                .fetch_one(pool)
                .await
        })?;
        Ok(found > 0)
    }

    /// Brings a deleted torrent back, with what is said of it now: `false` if there is none of that hash. Its content is
    /// what it was, as the hash names it.
    pub async fn restore_torrent(
        &self,
        new: &NewTorrent,
        actor: Option<UserId>,
        at: UnixTime,
    ) -> Result<bool> {
        changing!(self, |tx, change| {
            let id: Option<i64> = sqlx::query_scalar(RESTORE)
                .bind(&new.name)
                .bind(new.category.word())
                .bind(&new.description)
                .bind(new.status.word())
                .bind(new.uploader.map(|user| i64::from(user.0)))
                .bind(new.info_hash.0.as_slice())
                .fetch_optional(&mut *tx)
                .await?;
            let Some(id) = id else { return Ok(false) };
            sqlx::query(REPLACE_METAINFO)
                .bind(new.metainfo.as_slice())
                .bind(id)
                .execute(&mut *tx)
                .await?;
            let torrent = TorrentId(columns::id(id, "torrents.id")?);
            let subject = subject(&new.info_hash);
            record_audit!(tx, actor, "torrent.restore", subject, &new.name, at);
            record_change!(tx, change, Changed::Torrent(torrent), at);
            true
        })
    }

    /// Changes what is said of a torrent, and whether it may be announced. One that was deleted isn't there.
    pub async fn change_torrent(
        &self,
        torrent: TorrentId,
        edit: &TorrentEdit,
        actor: UserId,
        at: UnixTime,
    ) -> Result<()> {
        changing!(self, |tx, change| {
            let before: Option<BeforeRow> = sqlx::query_as(BEFORE)
                .bind(i64::from(torrent.0))
                .fetch_optional(&mut *tx)
                .await?;
            let before = before.ok_or(StoreError::NotFound { what: "torrent" })?;
            let updated = sqlx::query(CHANGE)
                .bind(edit.name.as_deref())
                .bind(edit.category.map(Word::word))
                .bind(edit.description.as_deref())
                .bind(edit.status.map(Word::word))
                .bind(i64::from(torrent.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "torrent")?;
            let detail = edit.describe(&before);
            record_audit!(tx, actor, "torrent.change", before.subject()?, detail, at);
            record_change!(tx, change, Changed::Torrent(torrent), at);
        })
    }

    /// Takes a torrent out of every list, and closes it. Its row stays: accounts go on counting what was done there.
    pub async fn delete_torrent(
        &self,
        torrent: TorrentId,
        actor: UserId,
        at: UnixTime,
    ) -> Result<()> {
        changing!(self, |tx, change| {
            let before: Option<BeforeRow> = sqlx::query_as(BEFORE)
                .bind(i64::from(torrent.0))
                .fetch_optional(&mut *tx)
                .await?;
            let before = before.ok_or(StoreError::NotFound { what: "torrent" })?;
            let updated = sqlx::query(DELETE)
                .bind(i64::from(at.0))
                .bind(i64::from(torrent.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "torrent")?;
            record_audit!(
                tx,
                actor,
                "torrent.delete",
                before.subject()?,
                &before.name,
                at
            );
            record_change!(tx, change, Changed::Torrent(torrent), at);
        })
    }

    /// The .torrent, with nobody's announce URL in it.
    pub async fn metainfo(&self, torrent: TorrentId) -> Result<Vec<u8>> {
        let file: Option<Vec<u8>> = reading!(self, |pool| {
            sqlx::query_scalar(METAINFO)
                .bind(i64::from(torrent.0))
                .fetch_optional(pool)
                .await
        })?;
        file.ok_or(StoreError::NotFound { what: "torrent" })
    }

    /// Opens, holds back or takes down a torrent.
    pub async fn set_torrent_status(
        &self,
        torrent: TorrentId,
        status: TorrentStatus,
        at: UnixTime,
    ) -> Result<()> {
        changing!(self, |tx, change| {
            let updated = sqlx::query(SET_STATUS)
                .bind(status.word())
                .bind(i64::from(torrent.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "torrent")?;
            record_change!(tx, change, Changed::Torrent(torrent), at);
        })
    }
}

#[derive(FromRow)]
struct BeforeRow {
    info_hash: Vec<u8>,
    name: String,
    category: String,
    status: String,
}

impl BeforeRow {
    fn subject(&self) -> Result<String> {
        let hash = columns::array(&self.info_hash, "torrents.info_hash")?;
        Ok(subject(&InfoHash(hash)))
    }
}

/// Whom an audit entry is about, as paths of the API name it.
fn subject(hash: &InfoHash) -> String {
    format!("torrent:{hash}")
}

impl TorrentEdit {
    /// A description is too long for a line.
    fn describe(&self, before: &BeforeRow) -> String {
        let words = |name: &str, from: &str, to: &str| format!("{name}: {from} to {to}");
        let name = self.name.as_deref();
        let parts = [
            name.map(|to| words("name", &before.name, to)),
            self.category
                .map(|to| words("category", &before.category, to.word())),
            self.status
                .map(|to| words("status", &before.status, to.word())),
            self.description.as_ref().map(|_| "description".to_owned()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

trait InsertFiles {
    async fn insert_files(&mut self, torrent: i64, files: &[NewFile]) -> Result<()>;
}

impl InsertFiles for Transaction<'_, Sqlite> {
    async fn insert_files(&mut self, torrent: i64, files: &[NewFile]) -> Result<()> {
        for (position, file) in files.iter().enumerate() {
            sqlx::query(CREATE_FILE)
                .bind(torrent)
                .bind(bigint(position as u64))
                .bind(&file.path)
                .bind(bigint(file.length))
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }
}

impl InsertFiles for Transaction<'_, Postgres> {
    async fn insert_files(&mut self, torrent: i64, files: &[NewFile]) -> Result<()> {
        let positions: Vec<i64> = (0..bigint(files.len() as u64)).collect();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let lengths: Vec<i64> = files.iter().map(|file| bigint(file.length)).collect();
        sqlx::query(CREATE_FILES_POSTGRES)
            .bind(torrent)
            .bind(positions)
            .bind(paths)
            .bind(lengths)
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}
