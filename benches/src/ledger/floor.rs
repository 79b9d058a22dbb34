//! What the database takes at most: the same session rows, put bare into a table with the same primary key.

use std::time::{Duration, Instant};

use anyhow::Result;
use tracker_core::record::{Endpoint, Record};

use super::cpu;
use super::crowd::Crowd;
use super::database::{Database, Value};

/// Rows of a transaction: as many as the persister's records.
pub(super) const CHUNK: usize = 50_000;

const COLUMNS: [&str; 9] = [
    "user_id",
    "torrent_id",
    "peer_id",
    "uploaded",
    "downloaded",
    "bytes_left",
    "announced_at",
    "port",
    "address",
];

/// The order of a chunk's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they come.
    Arrival,
    /// By their key.
    Key,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rows: u64,
    pub(super) wall: Duration,
    /// Of the process or thread that is the database.
    pub(super) database: Duration,
}

impl Pace {
    pub(super) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.wall.as_secs_f64()
    }

    pub(super) fn database_micros(&self) -> f64 {
        self.database.as_secs_f64() * 1e6 / self.rows as f64
    }
}

/// Begins with an empty table, and puts the next `rows` of the crowd's known sessions into it. What was made ready
/// beforehand isn't counted, encoding and sending is.
pub(super) async fn run(
    database: &mut Database,
    crowd: &mut Crowd,
    rows: usize,
    order: Order,
) -> Result<Pace> {
    database.execute("drop table if exists floor").await?;
    database.execute(create(database)).await?;
    let mut pace = Pace {
        rows: 0,
        wall: Duration::ZERO,
        database: Duration::ZERO,
    };
    let mut left = rows;
    while left > 0 {
        let chunk = left.min(CHUNK);
        left -= chunk;
        let mut records: Vec<_> = (0..chunk).map(|_| crowd.announce_known(0.0)).collect();
        if order == Order::Key {
            records.sort_by_key(|record| record.session);
        }
        let used = database_cpu(database).await?;
        let begun = Instant::now();
        pace.rows += database
            .put("floor", COLUMNS, records.iter().map(row))
            .await?;
        pace.wall += begun.elapsed();
        pace.database += database_cpu(database).await?.saturating_sub(used);
    }
    Ok(pace)
}

fn create(database: &Database) -> &'static str {
    match database {
        Database::Postgres(_) => {
            "create table floor (
                user_id bigint not null,
                torrent_id bigint not null,
                peer_id bytea not null,
                uploaded bigint not null,
                downloaded bigint not null,
                bytes_left bigint not null,
                announced_at bigint not null,
                port bigint not null,
                address bytea not null,
                primary key (user_id, torrent_id, peer_id))"
        }
        Database::Sqlite(_) => {
            "create table floor (
                user_id integer not null,
                torrent_id integer not null,
                peer_id blob not null,
                uploaded integer not null,
                downloaded integer not null,
                bytes_left integer not null,
                announced_at integer not null,
                port integer not null,
                address blob not null,
                primary key (user_id, torrent_id, peer_id)) strict, without rowid"
        }
    }
}

/// SQLite works in threads of this process, and while the floor is measured the ledger's are idle.
async fn database_cpu(database: &mut Database) -> Result<Duration> {
    match database {
        Database::Postgres(_) => {
            let pid = database.numbers("select pg_backend_pid()::bigint").await?;
            cpu::of_process(i32::try_from(pid[0])?)
        }
        Database::Sqlite(_) => cpu::of_threads("sqlx-sqlite"),
    }
}

fn row(record: &Record) -> [Value; 9] {
    let (address, port) = match &record.endpoint {
        Endpoint::V4(compact) => compact.split_at(4),
        Endpoint::V6(compact) => compact.split_at(16),
    };
    [
        Value::Int(record.session.user.0.into()),
        Value::Int(record.session.torrent.0.into()),
        Value::Bytes(record.session.peer_id.0.to_vec()),
        Value::Int(record.counters.uploaded as i64),
        Value::Int(record.counters.downloaded as i64),
        Value::Int(record.left as i64),
        Value::Int(record.at.0.into()),
        Value::Int(
            port.iter()
                .fold(0, |port, &byte| port << 8 | i64::from(byte)),
        ),
        Value::Bytes(address.to_vec()),
    ]
}
