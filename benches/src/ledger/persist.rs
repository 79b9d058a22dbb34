//! Records a second from the journal into the database, beside the floor: bare rows into a bare table.
//!
//! The two take turns, so that what else the machine does falls on both; then the ledger runs on its own for minutes,
//! over several of the database's checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use persister::flush::Persister;
use persister::journal;
use persister::lanes::Lanes;
use persister::load::load;
use store::Store;
use tokio::runtime::Builder;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

use super::crowd::{Crowd, Extent, Mix};
use super::database::{self, Database};
use super::feeder::Feeder;
use super::floor::{self, Order, Pace};
use super::report::{Report, bar};
use super::{cpu, records};
use crate::Size;

/// Nine in ten are known, as after a start; most of the rest of a site's announces are regular ones.
const MIX: Mix = Mix {
    new: 0.1,
    completed: 0.03,
};

/// The name of the journal in the database.
const NAME: &str = "bench";

/// How far apart the sustained run's paces are taken.
const WINDOW: Duration = Duration::from_secs(10);

struct Plan {
    extent: Extent,
    rounds: usize,
    /// Rows of the floor's table, and records of the ledger's part of a round.
    rows: u32,
    /// How many records may wait: four batches, so that the ledger never waits for announces.
    backlog: u64,
    sustained: Duration,
}

impl Plan {
    fn of(size: Size, system: &str) -> Self {
        // Three of Postgres's checkpoints, and as long as it takes SQLite to show a trend.
        let seconds = if system == "Postgres" { 185 } else { 60 };
        Self {
            extent: Extent {
                users: size.pick(200, 100_000),
                torrents: size.pick(50, 200_000),
                sessions: size.pick(2_000, 1_000_000),
            },
            rounds: size.pick(2, 3),
            rows: size.pick(2_000, 1_000_000),
            backlog: size.pick(2_000, 200_000),
            sustained: Duration::from_secs(size.pick(0, seconds)),
        }
    }
}

/// `url` is an empty database; the journal goes into `dir`.
pub fn run(size: Size, url: &str, dir: &Path) -> Result<Report> {
    // One thread: its CPU is the persister's and the client's.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let system = database::system(url);
    let plan = Plan::of(size, system);
    runtime.block_on(persist(&plan, system, url, dir))
}

async fn persist(plan: &Plan, system: &str, url: &str, dir: &Path) -> Result<Report> {
    let mut report = Report::new(format!("persist, {system}"));
    let now = UnixTime::now();
    let mut database = Database::connect(url).await?;
    let mut bare = match &database {
        Database::Postgres(_) => Database::connect(url).await?,
        Database::Sqlite(_) => {
            Database::connect(&format!("sqlite:{}", dir.join("floor.db").display())).await?
        }
    };
    let store = Store::open(url).await?;
    let crowd = Crowd::new(plan.extent, now);
    database.fill(&store, NAME, &crowd).await?;
    let mut ledger = Ledger::start(plan, store, database, crowd, dir).await?;
    let mut rows = Crowd::new(plan.extent, now);

    let (mut arrival, mut sorted, mut stretches) = (vec![], vec![], vec![]);
    let turns = bar("turns", 3 * plan.rounds as u64);
    for _ in 0..plan.rounds {
        arrival.push(floor::run(&mut bare, &mut rows, plan.rows as usize, Order::Arrival).await?);
        turns.inc(1);
        stretches.push(ledger.run(plan.rows.into(), Duration::ZERO).await?);
        turns.inc(1);
        sorted.push(floor::run(&mut bare, &mut rows, plan.rows as usize, Order::Key).await?);
        turns.inc(1);
    }
    turns.finish_and_clear();
    compare(&mut report, &arrival, &sorted, &stretches);
    if !plan.sustained.is_zero() {
        let sustained = ledger.run(0, plan.sustained).await?;
        sustained.tell(&mut report, ledger.feeder.backlog());
    }
    let records = ledger.finish().await?;
    report.figure("records persisted in all", vec![records as f64]);
    report.note("afterwards the members' totals were just what the announces had grown by");
    Ok(report)
}

fn compare(report: &mut Report, arrival: &[Pace], sorted: &[Pace], ledger: &[Stretch]) {
    let rates = |paces: &[Pace]| paces.iter().map(Pace::rows_per_second).collect::<Vec<_>>();
    let micros = |paces: &[Pace]| paces.iter().map(Pace::database_micros).collect::<Vec<_>>();
    let ratios = |over: Vec<f64>, under: Vec<f64>| {
        let pairs = over.into_iter().zip(under);
        pairs.map(|(over, under)| over / under).collect::<Vec<_>>()
    };
    let stretches: Vec<Pace> = ledger.iter().map(|stretch| stretch.pace).collect();
    report.figure("bare rows/s", rates(arrival));
    report.figure(
        "bare rows/s, sorted by key in their transaction",
        rates(sorted),
    );
    report.figure("records/s", rates(&stretches));
    report.aim(
        "records/s over bare rows/s",
        ratios(rates(&stretches), rates(arrival)),
        "0.25 or more",
    );
    report.figure(
        "records/s over sorted bare rows/s",
        ratios(rates(&stretches), rates(sorted)),
    );
    report.figure("database CPU, µs a bare row", micros(arrival));
    report.figure("database CPU, µs a sorted bare row", micros(sorted));
    report.figure("database CPU, µs a record", micros(&stretches));
    report.figure(
        "CPU of a bare row over a record's",
        ratios(micros(arrival), micros(&stretches)),
    );
    report.figure(
        "persister CPU, µs a record",
        ledger.iter().map(Stretch::client_micros).collect(),
    );
}

/// The real path, from the journal's files to the rows.
struct Ledger {
    persister: Persister,
    feeder: Feeder,
    log: journal::Log,
    store: Store,
    database: Database,
    position: u64,
}

/// A part of the run.
struct Stretch {
    pace: Pace,
    /// Of the persister's thread.
    client: Duration,
    /// Records a second in each window.
    windows: Vec<f64>,
    checkpoints: i64,
    wal_bytes: i64,
}

impl Ledger {
    async fn start(
        plan: &Plan,
        store: Store,
        database: Database,
        crowd: Crowd,
        dir: &Path,
    ) -> Result<Self> {
        let tracker = Arc::new(Tracker::new(
            TokenKey::from_bytes([7; 32]),
            Settings::default(),
        ));
        let (writer, log) = records::open(dir)?;
        let loaded = load(&store, &tracker, UnixTime::now(), &mut |_| {}).await?;
        let lanes = Lanes::settled(&store, NAME).await?;
        let persister =
            Persister::new(store.clone(), tracker, log.clone(), lanes, loaded.baselines);
        Ok(Self {
            persister,
            feeder: Feeder::start(crowd, MIX, writer, log.clone(), plan.backlog)?,
            log,
            store,
            database,
            position: 0,
        })
    }

    /// At least so many records, and for so long. The backlog stays for the next time, so that none begins without.
    async fn run(&mut self, records: u64, duration: Duration) -> Result<Stretch> {
        self.feeder.feed(true);
        // The first batch may be a small one, and isn't counted.
        self.step().await?;
        let bar = bar(
            "persist",
            if records > 0 {
                records
            } else {
                duration.as_secs()
            },
        );
        let (first, begun) = (self.position, Instant::now());
        let before = self.spent().await?;
        let (mut windows, mut window) = (vec![], (begun, first));
        while self.position < first + records || begun.elapsed() < duration {
            self.step().await?;
            if window.0.elapsed() >= WINDOW {
                let taken = (self.position - window.1) as f64;
                windows.push(taken / window.0.elapsed().as_secs_f64());
                window = (Instant::now(), self.position);
            }
            bar.set_position(match records {
                0 => begun.elapsed().as_secs(),
                _ => self.position - first,
            });
        }
        bar.finish_and_clear();
        let wall = begun.elapsed();
        let after = self.spent().await?;
        self.feeder.feed(false);
        Ok(Stretch {
            pace: Pace {
                rows: self.position - first,
                wall,
                database: after.database.saturating_sub(before.database),
            },
            client: after.client - before.client,
            windows,
            checkpoints: after.checkpoints - before.checkpoints,
            wal_bytes: after.wal_bytes - before.wal_bytes,
        })
    }

    async fn step(&mut self) -> Result<()> {
        if !self.persister.step().await? {
            // The feeder has only just been told.
            tokio::task::yield_now().await;
        }
        self.position = self.persister.applied().0;
        self.feeder.applied(self.position);
        Ok(())
    }

    async fn spent(&mut self) -> Result<Spent> {
        let mut spent = Spent {
            client: cpu::of_this_thread()?,
            ..Spent::default()
        };
        match &self.database {
            Database::Sqlite(_) => spent.database = cpu::of_threads("sqlx-sqlite")?,
            Database::Postgres(_) => {
                for pid in self.database.numbers(BACKENDS).await? {
                    spent.database += cpu::of_process(i32::try_from(pid)?)?;
                }
                let counts = self.database.numbers(CHECKPOINTS_AND_WAL).await?;
                (spent.checkpoints, spent.wal_bytes) = (counts[0], counts[1]);
            }
        }
        Ok(spent)
    }

    /// The rest, and whether it all came to what it should. Returns how many records there were.
    async fn finish(mut self) -> Result<u64> {
        let crowd = self.feeder.stop()?;
        self.persister.flush().await?;
        let applied = self.persister.applied();
        ensure!(
            applied == self.log.end(),
            "the database isn't where the journal ends"
        );
        let credited = self.database.credited().await?;
        ensure!(
            credited == crowd.grown,
            "credited {credited:?}, grown {:?}",
            crowd.grown
        );
        self.store.close().await;
        Ok(applied.0)
    }
}

/// All so far.
#[derive(Default)]
struct Spent {
    client: Duration,
    database: Duration,
    checkpoints: i64,
    wal_bytes: i64,
}

const BACKENDS: &str = "
    select pid::bigint
    from pg_stat_activity
    where application_name = 'purser'";

const CHECKPOINTS_AND_WAL: &str = "
    select checkpoints_timed + checkpoints_req from pg_stat_bgwriter
    union all
    select (pg_current_wal_lsn() - '0/0')::bigint";

impl Stretch {
    fn client_micros(&self) -> f64 {
        self.client.as_secs_f64() * 1e6 / self.pace.rows as f64
    }

    fn tell(&self, report: &mut Report, backlog: super::feeder::Backlog) {
        report.figure("sustained: seconds", vec![self.pace.wall.as_secs_f64()]);
        report.figure("sustained: records", vec![self.pace.rows as f64]);
        report.figure("sustained: records/s", vec![self.pace.rows_per_second()]);
        report.figure("sustained: records/s, by ten seconds", self.windows.clone());
        if self.wal_bytes > 0 {
            let wal = self.wal_bytes as f64 / self.pace.rows as f64;
            report.aim(
                "sustained: checkpoints",
                vec![self.checkpoints as f64],
                "several",
            );
            report.figure("sustained: WAL bytes a record", vec![wal]);
        }
        report.figure("backlog at most, records", vec![backlog.records as f64]);
        report.figure(
            "backlog at most, MB of journal files",
            vec![backlog.bytes as f64 / 1e6],
        );
    }
}
