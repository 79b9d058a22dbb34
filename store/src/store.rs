//! The door to the database: opening it, bringing its schema up to date, asking whether it is there.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, SqlitePool};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::error::{Result, StoreError};

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a call waits for a connection. Longer than a failover's hiccup, shorter
/// than a member's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a start waits for its first connection: a server that is busy, or starting itself, takes its time.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Searches at a time: one for words that many names have, and none has together, takes a third of a second of CPU, and
/// leaves connections to the others so.
const SEARCHES: usize = 3;

/// SQLite's readers beside its one writer: they only ever wait for the disk. As many again for requests.
const SQLITE_READERS: u32 = 4;

/// 64 MiB, in SQLite's negative KiB: a batch touches pages all over its tables, which with the usual 2 MiB are written
/// and read again several times before it is committed.
const SQLITE_WRITER_CACHE: &str = "-65536";

/// The ledger's two lanes, the follower, and one for the rest.
const POSTGRES_CONNECTIONS: u32 = 4;

/// With those above a tenth of Postgres's default limit, so that several nodes and a `psql` fit under it. A follower's
/// signal takes one more.
const POSTGRES_REQUEST_CONNECTIONS: u32 = 6;

/// The database. A clone is another handle to the same pools.
#[derive(Clone)]
pub struct Store {
    pub(crate) pools: Pools,
    /// Those of [`for_requests`](Self::for_requests).
    requests: Pools,
    /// How many more searches may begin.
    pub(crate) searches: Arc<Semaphore>,
    /// The URL without its password, for errors.
    location: Arc<str>,
    /// Tells this process's followers that a change has been committed.
    pub(crate) waker: watch::Sender<()>,
}

#[derive(Clone)]
pub(crate) enum Pools {
    /// One writer, as SQLite allows only one: waiting in our queue is fairer than its busy loop.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Expands an expression over the pool to read from: the same text, the same binds, on either database.
macro_rules! reading {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.pools {
            crate::store::Pools::Sqlite { readers, .. } => {
                let $pool = readers;
                $body
            }
            crate::store::Pools::Postgres(pool) => {
                let $pool = pool;
                $body
            }
        }
    };
}

/// Expands a block over a transaction, commits it when the block is done, and gives `Ok` of the block's value. A `?` or
/// `return` inside rolls it back.
macro_rules! in_transaction {
    ($store:expr, |$tx:ident| $body:block) => {
        match &$store.pools {
            crate::store::Pools::Sqlite { writer, .. } => {
                let mut $tx = writer.begin_with("begin immediate").await?;
                let done = $body;
                $tx.commit().await?;
                Ok(done)
            }
            crate::store::Pools::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let done = $body;
                $tx.commit().await?;
                Ok(done)
            }
        }
    };
}

pub(crate) use {in_transaction, reading};

impl Store {
    /// Connects to `sqlite:path` (the file is created when missing, its folder isn't) or `postgres://…`. Looks at
    /// nothing inside: [`migrate`](Self::migrate) or [`check`](Self::check) comes next.
    pub async fn open(url: &str) -> Result<Self> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Self::open_sqlite(url).await,
            Some(("postgres" | "postgresql", _)) => Self::open_postgres(url).await,
            _ => Err(StoreError::BadUrl("neither sqlite: nor postgres://".into())),
        }
    }

    async fn open_sqlite(url: &str) -> Result<Self> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            // Its readers would each see an empty database of their own.
            return Err(StoreError::BadUrl("SQLite needs a file".into()));
        }
        // FULL: a batch's journal segment is deleted once the batch is committed, so the commit has to survive whatever
        // the segment would have survived. That is an fsync per batch, of which there is about one a second.
        let options = SqliteConnectOptions::from_str(url)
            .map_err(bad_url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let location: Arc<str> = format!("sqlite:{}", options.get_filename().display()).into();
        make_private(options.get_filename());
        // The writer first: it creates the file, and sets the journal mode that readers need.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone().pragma("cache_size", SQLITE_WRITER_CACHE))
            .await
            .map_err(|error| StoreError::from(error).at(&location))?;
        let pools = || {
            let readers = SqlitePoolOptions::new()
                .max_connections(SQLITE_READERS)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options.clone().pragma("query_only", "on"));
            let writer = writer.clone();
            Pools::Sqlite { writer, readers }
        };
        Ok(Self {
            pools: pools(),
            requests: pools(),
            location,
            searches: Arc::new(Semaphore::new(SEARCHES)),
            waker: watch::Sender::new(()),
        })
    }

    async fn open_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(bad_url)?
            .application_name("purser")
            .disable_statement_logging();
        let location = postgres_location(&options);
        // By hand first: a pool tries again until it times out, and forgets why.
        let first = timeout(START_PATIENCE, PgConnection::connect_with(&options)).await;
        let silent =
            || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer"));
        let connection = first
            .unwrap_or_else(|_| Err(silent()))
            .map_err(|error| StoreError::from(error).at(&location))?;
        connection.close().await?;
        let pool = |connections| {
            let pool = PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options.clone());
            Pools::Postgres(pool)
        };
        Ok(Self {
            pools: pool(POSTGRES_CONNECTIONS),
            requests: pool(POSTGRES_REQUEST_CONNECTIONS),
            location,
            searches: Arc::new(Semaphore::new(SEARCHES)),
            waker: watch::Sender::new(()),
        })
    }

    /// The same database by connections of their own, for whatever strangers can ask for: however much that is, the ledger
    /// and the followers don't wait behind it. SQLite's one writer takes its turns with all.
    #[must_use]
    pub fn for_requests(&self) -> Self {
        Self {
            pools: self.requests.clone(),
            ..self.clone()
        }
    }

    /// How many transactions it can work on at a time, and gain by it: SQLite has one writer; Postgres has more, but each
    /// takes a core from others.
    pub fn writers(&self) -> usize {
        match &self.pools {
            Pools::Sqlite { .. } => 1,
            Pools::Postgres(_) => 2,
        }
    }

    /// Brings the schema up to date. A database from a newer Purser is refused, untouched.
    pub async fn migrate(&self) -> Result<()> {
        match self.check().await {
            Err(StoreError::OlderSchema { .. }) => {}
            up_to_date_or_failed => return up_to_date_or_failed,
        }
        match &self.pools {
            Pools::Sqlite { writer, .. } => SQLITE_MIGRATIONS.run(writer).await?,
            Pools::Postgres(pool) => POSTGRES_MIGRATIONS.run(pool).await?,
        }
        Ok(())
    }

    /// Whether the database answers, with the schema that this program knows.
    pub async fn check(&self) -> Result<()> {
        self.ping().await?;
        let found = self.schema_version().await?;
        let known = self.known_version();
        match found.cmp(&known) {
            std::cmp::Ordering::Less => Err(StoreError::OlderSchema { found, known }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let answer = reading!(self, |pool| sqlx::query("select 1")
            .execute(pool)
            .await
            .map(drop));
        answer.map_err(|error| StoreError::from(error).at(&self.location))
    }

    /// Closes the connections, after whatever they are doing, with those for requests. SQLite tidies its write-ahead log
    /// away, which needs its writer to be the last.
    pub async fn close(&self) {
        for pools in [&self.requests, &self.pools] {
            match pools {
                Pools::Sqlite { readers, .. } => readers.close().await,
                Pools::Postgres(pool) => pool.close().await,
            }
        }
        if let Pools::Sqlite { writer, .. } = &self.pools {
            writer.close().await;
        }
    }

    /// The newest migration that ran here; 0 in an empty database.
    async fn schema_version(&self) -> Result<i64> {
        let exists: bool = match &self.pools {
            Pools::Sqlite { readers, .. } => {
                sqlx::query_scalar(SQLITE_HAS_MIGRATIONS)
                    .fetch_one(readers)
                    .await?
            }
            Pools::Postgres(pool) => {
                sqlx::query_scalar(POSTGRES_HAS_MIGRATIONS)
                    .fetch_one(pool)
                    .await?
            }
        };
        if !exists {
            return Ok(0);
        }
        let version: Option<i64> = reading!(self, |pool| sqlx::query_scalar(SCHEMA_VERSION)
            .fetch_one(pool)
            .await)?;
        Ok(version.unwrap_or(0))
    }

    fn known_version(&self) -> i64 {
        let migrations = match &self.pools {
            Pools::Sqlite { .. } => &SQLITE_MIGRATIONS,
            Pools::Postgres(_) => &POSTGRES_MIGRATIONS,
        };
        migrations
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location)
    }
}

const SQLITE_HAS_MIGRATIONS: &str = "
    select exists (select 1 from sqlite_schema where name = '_sqlx_migrations')";

const POSTGRES_HAS_MIGRATIONS: &str = "
    select to_regclass('_sqlx_migrations') is not null";

const SCHEMA_VERSION: &str = "
    select max(version)
    from _sqlx_migrations";

/// There are passkeys and addresses in it: made by SQLite, it would be anybody's to read. What can't be made here, SQLite
/// will say.
fn make_private(file: &Path) {
    let _ = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
}

/// The parser's words, which name the part that is wrong, never its content.
fn bad_url(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Configuration(source) => StoreError::BadUrl(source.to_string()),
        other => StoreError::BadUrl(other.to_string()),
    }
}

fn postgres_location(options: &PgConnectOptions) -> Arc<str> {
    let user = options.get_username();
    let host = options.get_host();
    let port = options.get_port();
    let database = options.get_database().unwrap_or(user);
    format!("postgres://{user}@{host}:{port}/{database}").into()
}
