//! A database of one's own, and the ways to hurt it.

use rand::RngExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::Store;
use tempfile::TempDir;

pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
    /// Server and name.
    postgres: Option<(String, String)>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("site.db").display());
        Self {
            url,
            folder,
            postgres: None,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let server = std::env::var("PURSER_TEST_POSTGRES").unwrap();
        let (host, _) = server.rsplit_once('/').unwrap();
        let name = format!("purser_sim_{:016x}", rand::rng().random::<u64>());
        execute(&server, format!("create database {name}")).await;
        Self {
            url: format!("{host}/{name}"),
            folder: tempfile::tempdir().unwrap(),
            postgres: Some((server, name)),
        }
    }

    pub(crate) async fn remove(self) {
        if let Some((server, name)) = self.postgres {
            execute(&server, format!("drop database {name} with (force)")).await;
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// The sum of `table.column`.
    pub(crate) async fn sum(&self, column: &str) -> u64 {
        let (table, column) = column.split_once('.').unwrap();
        let sql = format!("select cast(coalesce(sum({column}), 0) as bigint) from {table}");
        let sum: i64 = match self.postgres {
            Some(_) => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                let asked = sqlx::query_scalar(AssertSqlSafe(sql));
                asked.fetch_one(&mut connection).await.unwrap()
            }
            None => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                let asked = sqlx::query_scalar(AssertSqlSafe(sql));
                asked.fetch_one(&mut connection).await.unwrap()
            }
        };
        sum.try_into().unwrap()
    }

    /// Breaks every connection to the database, wherever it is in its transaction. SQLite has none to break.
    pub(crate) async fn cut_connections(&self) {
        if let Some((server, name)) = &self.postgres {
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = ";
            execute(server, format!("{cut} '{name}'")).await;
        }
    }
}

async fn execute(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
}
