//! Hundreds of clients that know their true counters, announcing to two tracker processes over the real swarms, journal
//! and database, while everything breaks that can break. At the end each announces once more, and the database must
//! have what the clients have, to the byte.
//!
//! What is random comes from a seed, which a failure prints. `PURSER_SIM_SEED` runs one seed again, and
//! `PURSER_SIM_SEEDS=500` as many others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod database;
mod node;
mod world;

use database::Database;
use world::World;

/// What a seed does: some seconds' work.
const STEPS: usize = 5_000;

async fn simulate(database: impl AsyncFn() -> Database, seeds: u64) {
    let number = |name| std::env::var(name).ok().map(|value| value.parse().unwrap());
    let seeds = match number("PURSER_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = rand::random::<u32>().into();
            first..first + number("PURSER_SIM_SEEDS").unwrap_or(seeds)
        }
    };
    for seed in seeds {
        println!("PURSER_SIM_SEED={seed}");
        let database = database().await;
        let mut world = World::new(&database, seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.settle().await;
        world.compare().await;
        println!("{}", world.events);
        drop(world);
        database.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_has_what_the_clients_have() {
    simulate(async || Database::sqlite(), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
async fn postgres_has_what_the_clients_have() {
    simulate(Database::postgres, 3).await;
}
