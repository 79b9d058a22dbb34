//! The database goes away, or forgets to answer: announces go on, and nothing is lost or counted twice.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, SqliteConnection};

use crate::cluster::Cluster;
use crate::load::{Load, NOBODY_IS_EARLY, seed, settle};
use crate::proxy::Proxy;
use crate::site::{Database, Server, Site, runtime, until};

/// The oldest announce that isn't in the database yet, in seconds.
const LAG: &str = "purser_persist_lag_seconds";

/// Announces that are.
const PERSISTED: &str = "purser_persisted_records_total";

/// Batches that the database didn't take.
const FAILURES: &str = "purser_flush_failures_total";

/// Enough for some dozens of commits, on any machine.
const ANNOUNCES_MAX: u32 = 500_000;

/// What a tracker may need for a while without its database, beyond what it had before.
const GROWTH_MAX_MIB: u64 = 200;

/// A tracker under load whose database has taken some of it.
fn start(site: &Site, load: &Load, env: &[(&str, &str)]) -> Server {
    let server = site.start_with("serve", &[env, &[NOBODY_IS_EARLY]].concat());
    load.meet(&server);
    load.wait_for_answers(1000);
    until(|| server.metric(PERSISTED).filter(|&records| records > 0.0));
    server
}

/// No announce was refused meanwhile, and in the end everything is where it should be.
fn finish(site: &Site, load: Load, server: Server) {
    load.wait_for_answers(1000);
    let (troubles, first) = load.troubles();
    assert_eq!(troubles, 0, "{first:?}");
    let accounts = load.finish();
    until(|| (server.metric(LAG) == Some(0.0)).then_some(()));
    server.stop();
    accounts.assert_stored_in(site);
}

/// The one test in which time counts: PURSER_OUTAGE_SECS, 8 if it isn't set.
#[test]
#[ignore = "needs Postgres, which scripts/test installs"]
fn database_that_is_stopped_under_load_costs_nothing() {
    let outage_secs = std::env::var("PURSER_OUTAGE_SECS").map_or(8, |text| text.parse().unwrap());
    let cluster = Cluster::new();
    let site = Site::on(&cluster.url());
    let mut rng = SmallRng::seed_from_u64(seed());
    let load = Load::begin(settle(&site), &mut rng);
    let server = start(&site, &load, &[]);

    let before = server.resident_mib();
    cluster.stop();
    let end = Instant::now() + Duration::from_secs(outage_secs);
    let mut most = before;
    while Instant::now() < end {
        load.wait_for_answers(100);
        most = most.max(server.resident_mib());
    }
    assert!(server.metric(LAG) > Some(0.0), "nothing was waiting");
    cluster.start();
    println!("memory: {before} MiB before, {most} MiB at most");
    assert!(most < before + GROWTH_MAX_MIB, "{before} MiB, {most} MiB");
    finish(&site, load, server);
}

#[test]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
fn commit_whose_answer_is_lost_counts_once() {
    let site = Site::new(Database::Postgres);
    let mut rng = SmallRng::seed_from_u64(seed());
    let load = Load::begin(settle(&site), &mut rng);
    let url = site.database_url();
    let (login, place) = url.rsplit_once('@').unwrap();
    let (address, name) = place.split_once('/').unwrap();
    let proxy = Proxy::to(address, SmallRng::seed_from_u64(rng.random()));
    // Without TLS, or the proxy would see nothing.
    let url = format!("{login}@{}/{name}?sslmode=disable", proxy.address());
    let flush = ("PURSER__PERSISTER__FLUSH_INTERVAL_MS", "5");
    let server = start(&site, &load, &[("DATABASE_URL", &url), flush]);

    proxy.set_cutting(true);
    let mut cuts = proxy.cuts();
    for _ in 0..ANNOUNCES_MAX / 500 {
        load.wait_for_answers(500);
        cuts = proxy.cuts();
        if cuts.before.min(cuts.after) >= 5 {
            break;
        }
    }
    proxy.set_cutting(false);
    println!("{cuts:?}");
    assert!(cuts.before > 0 && cuts.after > 0, "{cuts:?}");
    finish(&site, load, server);
}

#[test]
fn database_file_locked_by_another_program() {
    let site = Site::new(Database::Sqlite);
    let mut rng = SmallRng::seed_from_u64(seed());
    let load = Load::begin(settle(&site), &mut rng);
    let server = start(&site, &load, &[]);

    let runtime = runtime();
    let connecting = SqliteConnection::connect(&site.database_url());
    let mut other = runtime.block_on(connecting).unwrap();
    let locking = other.begin_with("begin immediate");
    let lock = runtime.block_on(locking).unwrap();
    load.wait_for_answers(3000);
    // Until a batch has lost patience.
    until(|| server.metric(FAILURES).filter(|&failures| failures > 0.0));
    runtime.block_on(lock.rollback()).unwrap();
    finish(&site, load, server);
}
