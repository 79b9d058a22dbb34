//! What can go wrong with a database, as far as a caller would do something about it.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Everything here fails with a [`StoreError`].
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// One clear line each: what, where, and what would be right. None contains the database's password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names neither database, or can't be parsed.
    #[error(
        "database_url: {0}; expected sqlite:path/to/file.db or postgres://user:password@host/database"
    )]
    BadUrl(String),

    /// It doesn't answer, doesn't let us in, is full, is locked, or chose somebody else in a deadlock. The same call may
    /// succeed later.
    #[error("{place} can't be used: {source}")]
    Unreachable {
        /// Which database, without the password.
        place: String,
        /// What the driver met.
        source: sqlx::Error,
    },

    /// A newer Purser has migrated it. This one would misread it.
    #[error(
        "the database has schema {found} and this Purser knows {known}: start the newer Purser that migrated it"
    )]
    NewerSchema {
        /// The database's newest migration.
        found: i64,
        /// This program's newest migration.
        known: i64,
    },

    /// Migrations are missing.
    #[error("the database has schema {found} and this Purser needs {known}: run `purser migrate`")]
    OlderSchema {
        /// The database's newest migration; 0 for an empty database.
        found: i64,
        /// This program's newest migration.
        known: i64,
    },

    /// Somebody else has this username, info hash, …
    #[error("this {what} is taken already")]
    Duplicate {
        /// In the user's words: `username`, `info hash`.
        what: &'static str,
    },

    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// In the user's words: `user`, `torrent`.
        what: &'static str,
    },

    /// A row holds what this program would never have written.
    #[error(
        "{column} in the database holds {found}, which Purser never writes there: restore a backup, or correct the row"
    )]
    Corrupt {
        /// `table.column`.
        column: &'static str,
        /// What was found, or its kind.
        found: String,
    },

    /// A batch doesn't continue where its journal stands. Nothing was changed.
    #[error("the journal's mark is {found:?}, which isn't where this batch begins")]
    Moved {
        /// How far the journal has been applied; `None` for not at all.
        found: Option<u64>,
    },

    /// A session isn't where a batch took it to be, or a row isn't there. Nothing was changed; the same batch can be
    /// applied carefully.
    #[error("the batch doesn't fit what is in the database")]
    Stale,

    /// Anything that nobody could do something about but read it.
    #[error("the database refused: {0}")]
    Other(sqlx::Error),
}

impl StoreError {
    pub(crate) fn corrupt(column: &'static str, found: impl ToString) -> Self {
        let found = found.to_string();
        Self::Corrupt { column, found }
    }

    /// Whether what was written is at fault, so that something else may be taken where this was refused: a value that
    /// is out of range, a constraint, a trigger, a damaged row. Anything else concerns whatever would be written.
    pub fn is_about_the_data(&self) -> bool {
        match self {
            Self::Duplicate { .. } | Self::Corrupt { .. } => true,
            Self::Other(sqlx::Error::Database(error)) => {
                postgres_minds_the_data(&**error) || sqlite_minds_the_data(&**error)
            }
            _ => false,
        }
    }

    /// Whether a text or a number is at fault that no column can keep: a NUL in Postgres, say.
    pub fn is_about_a_value(&self) -> bool {
        let Self::Other(sqlx::Error::Database(error)) = self else {
            return false;
        };
        let postgres = error.try_downcast_ref::<PgDatabaseError>();
        postgres.is_some_and(|error| error.code().starts_with("22"))
    }

    /// Whether a transaction that failed so may have been committed all the same: nobody has answered.
    pub fn is_unclear(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Other(error) => error.as_database_error().is_none(),
            _ => false,
        }
    }

    /// Whether somebody else has moved a mark.
    pub fn is_moved(&self) -> bool {
        matches!(self, Self::Moved { .. })
    }

    /// Says which database it is that can't be reached.
    pub(crate) fn at(self, location: &str) -> Self {
        match self {
            Self::Unreachable { source, .. } => Self::Unreachable {
                place: format!("the database {location}"),
                source,
            },
            other => other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(what) = error.as_database_error().and_then(taken) {
            return Self::Duplicate { what };
        }
        if is_unreachable(&error) {
            let place = "the database".to_owned();
            return Self::Unreachable {
                place,
                source: error,
            };
        }
        Self::Other(error)
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => error.into(),
            other => Self::Other(other.into()),
        }
    }
}

/// Columns that are unique, and what people call them. Postgres names the constraint after its column, SQLite names
/// the column: both contain it.
const UNIQUE: [(&str, &str); 7] = [
    ("username_key", "username"),
    ("email_key", "email address"),
    ("passkey", "passkey"),
    ("info_hash", "info hash"),
    ("invites", "invite code"),
    ("cidr", "network"),
    ("client_rules", "client"),
];

fn taken(error: &(dyn DatabaseError + 'static)) -> Option<&'static str> {
    if error.kind() != ErrorKind::UniqueViolation {
        return None;
    }
    let place = error.constraint().unwrap_or(error.message());
    UNIQUE
        .iter()
        .find(|(column, _)| place.contains(column))
        .map(|&(_, what)| what)
}

fn is_unreachable(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        Database(error) => postgres_is_away(&**error) || sqlite_is_away(&**error),
        _ => false,
    }
}

/// Data exceptions, constraints, limits of size, what a trigger raises, damage.
fn postgres_minds_the_data(error: &(dyn DatabaseError + 'static)) -> bool {
    let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else {
        return false;
    };
    let code = error.code();
    ["22", "23", "54", "P0", "XX001", "XX002"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// Damage, too large a value, a constraint (a trigger's too), a value of the wrong type.
fn sqlite_minds_the_data(error: &(dyn DatabaseError + 'static)) -> bool {
    let Some(error) = error.try_downcast_ref::<SqliteError>() else {
        return false;
    };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 18 | 19 | 20))
}

/// Connection trouble, no resources, shutting down or cancelled, wrong credentials or rights, no such database, a standby
/// that only reads, a lock that wasn't to be had, a deadlock.
fn postgres_is_away(error: &(dyn DatabaseError + 'static)) -> bool {
    let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else {
        return false;
    };
    let code = error.code();
    [
        "08", "28", "53", "57", "58", "3D", "40", "25006", "42501", "55P03",
    ]
    .iter()
    .any(|class| code.starts_with(class))
}

/// Busy, read-only, an IO error, a full disk, a file that can't be opened, or isn't a database.
fn sqlite_is_away(error: &(dyn DatabaseError + 'static)) -> bool {
    let Some(error) = error.try_downcast_ref::<SqliteError>() else {
        return false;
    };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    // The low byte of an extended code is the plain one.
    code.is_some_and(|code| matches!(code & 0xff, 5 | 8 | 10 | 13 | 14 | 26))
}
