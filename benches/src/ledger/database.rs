//! A database with a site in it, and rows put there the plain way: a binary COPY, or a prepared insert again and again.

use std::str::FromStr;

use anyhow::{Result, ensure};
use indicatif::ProgressIterator;
use persister::lanes::Lanes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::Store;
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, TorrentId, UserId};
use tracker_core::record::Role;
use tracker_core::session::StoredSession;

use super::crowd::{Crowd, member};
use super::report::bar;
use crate::site::info_hash;

/// What is handed over to the socket at once.
const BUFFER: usize = 256 << 10;

/// What a URL leads to.
pub(super) fn system(url: &str) -> &'static str {
    match url.starts_with("sqlite:") {
        true => "SQLite",
        false => "Postgres",
    }
}

/// A connection of the bench's own, beside the store's.
#[derive(Debug)]
pub enum Database {
    /// To Postgres.
    Postgres(PgConnection),
    /// To a file.
    Sqlite(SqliteConnection),
}

/// What a row holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number of 64 bits.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// Words.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
}

impl Database {
    /// Connects, to SQLite with the settings that the store has.
    pub async fn connect(url: &str) -> Result<Self> {
        if system(url) == "Postgres" {
            return Ok(Self::Postgres(PgConnection::connect(url).await?));
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-65536");
        Ok(Self::Sqlite(
            SqliteConnection::connect_with(&options).await?,
        ))
    }

    /// Makes the schema, and puts the crowd's site in.
    pub async fn fill(&mut self, store: &Store, journal: &str, crowd: &Crowd) -> Result<()> {
        store.migrate().await?;
        ensure!(
            store.count_members().await? == 0,
            "the database isn't empty"
        );
        self.put_users(crowd.extent.users, |id| member(id).passkey)
            .await?;
        self.put_torrents(crowd.extent.torrents, info_hash).await?;
        let columns = [
            "user_id",
            "torrent_id",
            "peer_id",
            "uploaded",
            "downloaded",
            "credited_uploaded",
            "credited_downloaded",
            "bytes_left",
            "started_at",
            "announced_at",
            "active",
            "role",
            "endpoint4",
            "written_by",
        ];
        let writers = writers(store, journal).await?;
        let sessions = crowd.sessions().map(|session| {
            let writer = writers[session.key.user.0 as usize % writers.len()];
            session_row(session, writer)
        });
        let sessions = sessions.progress_with(bar("sessions", crowd.extent.sessions.into()));
        self.put("sessions", columns, sessions).await?;
        self.settle().await
    }

    /// Members, numbered from 1; the first is an administrator, or `purser serve` would make one.
    pub async fn put_users(
        &mut self,
        count: u32,
        passkey: impl Fn(UserId) -> Option<[u8; 16]>,
    ) -> Result<()> {
        let columns = [
            "id",
            "username",
            "username_key",
            "role",
            "passkey",
            "created_at",
        ];
        let users = (1..=count).map(|id| {
            let name = format!("member{id}");
            [
                Value::Int(id.into()),
                Value::Text(name.clone()),
                Value::Text(name),
                Value::Text(if id == 1 { "admin" } else { "member" }.to_owned()),
                passkey(UserId(id)).map_or(Value::Null, |key| Value::Bytes(key.to_vec())),
                Value::Int(0),
            ]
        });
        let users = users.progress_with(bar("users", count.into()));
        self.put("users", columns, users).await?;
        Ok(())
    }

    /// Registered torrents, numbered from 1.
    pub async fn put_torrents(
        &mut self,
        count: u32,
        info_hash: impl Fn(TorrentId) -> InfoHash,
    ) -> Result<()> {
        let columns = [
            "id",
            "info_hash",
            "name",
            "size",
            "piece_length",
            "file_count",
            "private",
            "status",
            "created_at",
        ];
        let torrents = (1..=count).map(|id| {
            [
                Value::Int(id.into()),
                Value::Bytes(info_hash(TorrentId(id)).0.to_vec()),
                Value::Text(format!("torrent {id}")),
                Value::Int(1 << 30),
                Value::Int(1 << 20),
                Value::Int(1),
                Value::Bool(true),
                Value::Text("open".to_owned()),
                Value::Int(0),
            ]
        });
        let torrents = torrents.progress_with(bar("torrents", count.into()));
        self.put("torrents", columns, torrents).await?;
        Ok(())
    }

    /// After the last row: as on a site that has run for a while.
    pub async fn settle(&mut self) -> Result<()> {
        self.execute("analyze").await?;
        if let Self::Postgres(_) = self {
            self.execute(NEXT_IDS).await?;
            self.execute("checkpoint").await?;
        }
        Ok(())
    }

    /// Closes it, so that SQLite's file has everything and can be copied.
    pub async fn close(self) -> Result<()> {
        match self {
            Self::Postgres(connection) => connection.close().await?,
            Self::Sqlite(connection) => connection.close().await?,
        }
        Ok(())
    }

    /// Puts rows into a table, in one transaction. Returns how many.
    pub async fn put<const N: usize>(
        &mut self,
        table: &str,
        columns: [&str; N],
        rows: impl Iterator<Item = [Value; N]>,
    ) -> Result<u64> {
        match self {
            Self::Postgres(connection) => copy(connection, table, columns, rows).await,
            Self::Sqlite(connection) => insert(connection, table, columns, rows).await,
        }
    }

    /// Runs a statement.
    pub async fn execute(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Postgres(connection) => {
                sqlx::query(sql).execute(connection).await?;
            }
            Self::Sqlite(connection) => {
                sqlx::query(sql).execute(connection).await?;
            }
        }
        Ok(())
    }

    /// Runs statements in one transaction.
    pub async fn execute_together(&mut self, statements: &[String]) -> Result<()> {
        macro_rules! run {
            ($connection:expr) => {{
                let mut transaction = $connection.begin().await?;
                for sql in statements {
                    sqlx::query(AssertSqlSafe(sql.as_str()))
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await?;
            }};
        }
        match self {
            Self::Postgres(connection) => run!(connection),
            Self::Sqlite(connection) => run!(connection),
        }
        Ok(())
    }

    /// Asks for numbers.
    pub async fn numbers(&mut self, sql: &'static str) -> Result<Vec<i64>> {
        let query = sqlx::query_scalar(sql);
        Ok(match self {
            Self::Postgres(connection) => query.fetch_all(connection).await?,
            Self::Sqlite(connection) => sqlx::query_scalar(sql).fetch_all(connection).await?,
        })
    }

    /// What all members are credited with.
    pub async fn credited(&mut self) -> Result<Counters> {
        let sums = self
            .numbers(
                "select cast(sum(uploaded) as bigint) from users
                union all select cast(sum(downloaded) as bigint) from users",
            )
            .await?;
        Ok(Counters {
            uploaded: u64::try_from(sums[0])?,
            downloaded: u64::try_from(sums[1])?,
        })
    }
}

/// A COPY brings its own numbers.
const NEXT_IDS: &str = "
    select
        setval(pg_get_serial_sequence('users', 'id'), (select max(id) from users)),
        setval(pg_get_serial_sequence('torrents', 'id'), (select max(id) from torrents))";

/// Whose hand is in `sessions.written_by`, lane by lane.
async fn writers(store: &Store, journal: &str) -> Result<Vec<i64>> {
    let lanes = Lanes::settled(store, journal).await?;
    Ok(lanes.writers())
}

fn session_row(session: StoredSession, writer: i64) -> [Value; 14] {
    let counters = session.baseline.counters;
    let at = Value::Int(session.announced_at.0.into());
    let (left, role) = match session.role {
        Role::Seeder => (0, "seeder"),
        _ => (734_003_200, "leecher"),
    };
    [
        Value::Int(session.key.user.0.into()),
        Value::Int(session.key.torrent.0.into()),
        Value::Bytes(session.key.peer_id.0.to_vec()),
        Value::Int(counters.uploaded as i64),
        Value::Int(counters.downloaded as i64),
        Value::Int(0),
        Value::Int(0),
        Value::Int(left),
        at.clone(),
        at,
        Value::Bool(true),
        Value::Text(role.to_owned()),
        session
            .endpoint4
            .map_or(Value::Null, |compact| Value::Bytes(compact.to_vec())),
        Value::Int(writer),
    ]
}

async fn copy<const N: usize>(
    connection: &mut PgConnection,
    table: &str,
    columns: [&str; N],
    rows: impl Iterator<Item = [Value; N]>,
) -> Result<u64> {
    let columns = columns.join(", ");
    let sql = format!("copy {table} ({columns}) from stdin (format binary)");
    let mut copy = connection.copy_in_raw(&sql).await?;
    let mut buffer = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        buffer.extend_from_slice(&(N as i16).to_be_bytes());
        row.iter().for_each(|value| encode(value, &mut buffer));
        if buffer.len() >= BUFFER {
            copy.send(&buffer[..]).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(&buffer[..]).await?;
    Ok(copy.finish().await?)
}

/// A field of COPY's binary format: its length, and what the type's `recv` function reads.
fn encode(value: &Value, buffer: &mut Vec<u8>) {
    let mut field = |bytes: &[u8]| {
        buffer.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        buffer.extend_from_slice(bytes);
    };
    match value {
        Value::Int(number) => field(&number.to_be_bytes()),
        Value::Bool(bool) => field(&[u8::from(*bool)]),
        Value::Text(text) => field(text.as_bytes()),
        Value::Bytes(bytes) => field(bytes),
        Value::Null => buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

async fn insert<const N: usize>(
    connection: &mut SqliteConnection,
    table: &str,
    columns: [&str; N],
    rows: impl Iterator<Item = [Value; N]>,
) -> Result<u64> {
    let places: Vec<_> = (1..=N).map(|n| format!("${n}")).collect();
    let (columns, places) = (columns.join(", "), places.join(", "));
    let sql = format!("insert into {table} ({columns}) values ({places})");
    let mut transaction = connection.begin().await?;
    let mut count = 0;
    for row in rows {
        // Prepared the first time, and found by its text from then on.
        let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
        for value in row {
            query = match value {
                Value::Int(number) => query.bind(number),
                Value::Bool(bool) => query.bind(bool),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Null => query.bind(None::<i64>),
            };
        }
        query.execute(&mut *transaction).await?;
        count += 1;
    }
    transaction.commit().await?;
    Ok(count)
}
