//! What reading the site costs: a real `purser api` on a large Postgres, asked again as soon as it has answered.
//!
//! [`Extent`] fills the database. Each of the operations has its turn, round by round; CPU is what the kernel counts for
//! Purser and for Postgres, which bears a busy machine better than a rate does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use indicatif::ProgressIterator;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

mod client;
mod fill;
mod names;
mod operations;
mod postgres;
mod report;
mod server;

pub use fill::Extent;
pub use report::Report;

use crate::ledger::database::Database;
use crate::ledger::report::bar;
use crate::load;
use client::Client;
use fill::member;
use operations::{Operation, Who};
use postgres::Postgres;
use report::Window;
use server::Server;

/// A run.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgres://…`: empty, or what an earlier run has put there.
    pub database: String,
    /// The program that is measured.
    pub purser: PathBuf,
    /// How much there is in an empty database.
    pub extent: Extent,
    /// How long each operation is asked for in a round.
    pub window: Duration,
    /// How often each has its turn.
    pub rounds: u32,
    /// Connections that each ask again as soon as they are answered.
    pub connections: u32,
    /// More of the program's settings, as its `--set` takes them.
    pub set: Vec<String>,
    /// Operations that have this in their name.
    pub only: String,
}

/// Before the clock runs: statements are prepared, and pages are in memory.
const WARM_UP: Duration = Duration::from_millis(300);

/// No more than an address may log in at once.
pub const CONNECTIONS_MAX: u32 = 24;

/// Everybody's.
const PASSWORD: &str = "correct horse battery";

/// Fills the database if it is empty, and asks for everything in turn.
pub fn run(options: &Options) -> Result<Report> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure(options))
}

async fn measure(options: &Options) -> Result<Report> {
    ensure!(
        (1..=CONNECTIONS_MAX).contains(&options.connections),
        "1 to {CONNECTIONS_MAX} connections"
    );
    let url = &options.database;
    let mut database = Database::connect(url).await?;
    let tables = "select count(*) from pg_tables where tablename = 'torrents'";
    if database.numbers(tables).await? == [0] {
        options.extent.fill(url).await?;
    }
    let extent = size(&mut database).await?;
    let folder = tempfile::tempdir()?;
    server::set_password(&options.purser, url, folder.path(), &member(1), PASSWORD)?;
    let members: Vec<u32> = (1..=options.connections)
        .map(|n| extent.members / (options.connections + 1) * n + 1)
        .collect();
    let list: Vec<_> = members.iter().map(u32::to_string).collect();
    let sql = format!(
        "update users set password_hash = (select password_hash from users where id = 1) where id in ({})",
        list.join(", ")
    );
    database.execute_together(&[sql]).await?;
    let postgres = Postgres::of(&mut database).await?;
    let server = Server::start(&options.purser, url, folder.path(), &options.set)?;
    let mut client = Client::connect(server.address).await?;
    let admin: Arc<str> = log_in(&mut client, 1).await?.into();
    let mut people = Vec::new();
    for id in members {
        people.push(Arc::from(log_in(&mut client, id).await?));
    }
    let operations = operations::all(&mut client, &people[0], extent).await?;
    let operations = operations.into_iter();
    let operations: Vec<_> = operations
        .filter(|operation| operation.name.contains(&options.only))
        .map(Arc::new)
        .collect();
    let crowd = Crowd {
        address: server.address,
        admin,
        people,
    };

    let mut report = Report::default();
    let purser = load::server::Server { pid: server.pid() };
    let turns = u64::from(options.rounds) * operations.len() as u64;
    let turns = (0..turns).progress_with(bar("operations", turns));
    for turn in turns {
        let operation = &operations[turn as usize % operations.len()];
        let warm_up = crowd.ask(operation, WARM_UP).await?;
        let before = (purser.look()?, postgres.cpu()?);
        let mut window = crowd.ask(operation, options.window).await?;
        let requests = window.latency.len();
        let used = purser.look()?.cpu_per_request(&before.0, requests);
        window.failures += warm_up.failures;
        window.cpu = used["all"]["us"].as_f64().unwrap_or_default();
        let used = postgres.cpu()?.saturating_sub(before.1);
        window.postgres_cpu = used.as_secs_f64() * 1e6 / requests.max(1) as f64;
        report.add(operation.name, window);
    }
    report.note(format!(
        "{} torrents, {} members, {} sessions; {} connections, {} rounds of {:?}",
        extent.torrents,
        extent.members,
        extent.sessions,
        options.connections,
        options.rounds,
        options.window
    ));
    report.note(format!("replies that weren't 200: {}", report.failures()));
    database.close().await?;
    Ok(report)
}

/// What is there, which an earlier run may have put there.
async fn size(database: &mut Database) -> Result<Extent> {
    let mut count = async |sql| anyhow::Ok(u32::try_from(database.numbers(sql).await?[0])?);
    Ok(Extent {
        torrents: count("select count(*) from torrents").await?,
        members: count("select count(*) from users").await?,
        sessions: count("select count(*) from sessions").await?,
    })
}

async fn log_in(client: &mut Client, id: u32) -> Result<String> {
    let body = json!({ "username": member(id), "password": PASSWORD }).to_string();
    let reply = client.post("/api/auth/login/", &body).await?;
    ensure!(
        reply.status == 200,
        "a login was answered with {}",
        reply.status
    );
    let tokens: Value = serde_json::from_slice(reply.body)?;
    let access = tokens["access"].as_str();
    Ok(access.context("no access token")?.to_owned())
}

/// Those who ask.
struct Crowd {
    address: SocketAddr,
    admin: Arc<str>,
    /// One for each connection.
    people: Vec<Arc<str>>,
}

impl Crowd {
    /// All connections at once, each again and again, until the time is over and the last reply there.
    async fn ask(&self, operation: &Arc<Operation>, time: Duration) -> Result<Window> {
        let mut asking = JoinSet::new();
        let began = Instant::now();
        for (at, member) in self.people.iter().enumerate() {
            let access = match operation.who {
                Who::Nobody => None,
                Who::Member => Some(Arc::clone(member)),
                Who::Admin => Some(Arc::clone(&self.admin)),
            };
            let (operation, address) = (Arc::clone(operation), self.address);
            asking.spawn(async move {
                let mut tally = Tally::new()?;
                let mut client = Client::connect(address).await?;
                let mut next = at * operation.paths.len() / 16;
                while began.elapsed() < time {
                    let path = &operation.paths[next % operation.paths.len()];
                    next += 1;
                    let at = Instant::now();
                    let reply = client.get(path, access.as_deref()).await?;
                    let good = reply.status == 200;
                    tally.body_bytes += reply.body.len() as u64;
                    tally.failures += u64::from(!good);
                    let nanos = at.elapsed().as_nanos() as u64;
                    tally.latency.saturating_record(nanos);
                    if !good {
                        // Not a flood of refusals.
                        sleep(Duration::from_millis(10)).await;
                    }
                }
                anyhow::Ok(tally)
            });
        }
        let mut all = Tally::new()?;
        while let Some(tally) = asking.join_next().await {
            let tally = tally??;
            all.latency.add(&tally.latency)?;
            all.body_bytes += tally.body_bytes;
            all.failures += tally.failures;
        }
        Ok(Window {
            latency: all.latency,
            took: began.elapsed(),
            body_bytes: all.body_bytes,
            failures: all.failures,
            cpu: 0.0,
            postgres_cpu: 0.0,
        })
    }
}

struct Tally {
    latency: Histogram<u64>,
    body_bytes: u64,
    failures: u64,
}

impl Tally {
    /// From a microsecond to a minute, in nanoseconds, to three digits.
    fn new() -> Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?,
            body_bytes: 0,
            failures: 0,
        })
    }
}
