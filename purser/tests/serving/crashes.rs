//! `kill -9`: what a client was told is taken stays taken, and what it was never told counts once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use crate::accounts::Accounts;
use crate::client::Client;
use crate::load::{Load, NOBODY_IS_EARLY, seed, settle};
use crate::meeting::Meeting;
use crate::site::{Database, Server, Site};
use crate::wire::Wire;

const FLUSH: &str = "PURSER__PERSISTER__FLUSH_INTERVAL_MS";
const FSYNC: &str = "PURSER__PERSISTER__FSYNC_INTERVAL_MS";

/// A kill meets the database busy, or between two batches, or before anything has reached it.
const PACES: [[(&str, &str); 2]; 4] = [
    [(FLUSH, "50"), (FSYNC, "1000")],
    [(FLUSH, "1"), (FSYNC, "1000")],
    [(FLUSH, "60000"), (FSYNC, "1000")],
    [(FLUSH, "50"), (FSYNC, "0")],
];

on_both_databases!(
    killed_at_random_moments,
    asked_to_stop_at_random_moments,
    stopped_is_kept_when_it_was_the_last_word_before_the_kill,
);

fn start(site: &Site, round: usize) -> Server {
    let [flush, fsync] = PACES[round % PACES.len()];
    site.start_with("serve", &[NOBODY_IS_EARLY, flush, fsync])
}

fn rounds(default: usize) -> usize {
    let given = std::env::var("PURSER_CRASH_ROUNDS").ok();
    given.map_or(default, |text| text.parse().unwrap())
}

fn killed_at_random_moments(database: Database) {
    ended_at_random_moments(database, rounds(20), Server::kill);
}

/// The same with SIGTERM, which needs no journal.
fn asked_to_stop_at_random_moments(database: Database) {
    ended_at_random_moments(database, rounds(8), Server::stop);
}

/// A hundred and fifty clients go on from one start to the next.
fn ended_at_random_moments(database: Database, rounds: usize, end: fn(Server)) {
    let site = Site::new(database);
    let mut rng = SmallRng::seed_from_u64(seed());
    let load = Load::begin(settle(&site), &mut rng);
    for round in 0..rounds {
        let server = start(&site, round);
        load.meet(&server);
        load.wait_for_answers(rng.random_range(50..=3000));
        end(server);
    }
    let server = start(&site, 0);
    load.meet(&server);
    let accounts = load.finish();
    server.stop();
    accounts.assert_stored_in(&site);
}

/// Clients that say `stopped` all at once; the last answer is the tracker's end.
fn stopped_is_kept_when_it_was_the_last_word_before_the_kill(database: Database) {
    let site = Site::new(database);
    let mut rng = SmallRng::seed_from_u64(seed());
    let mut clients = settle(&site);
    clients.truncate(24);
    for round in 0..rounds(8) {
        let server = start(&site, round);
        start_and_stop(&mut clients, &server, &mut rng);
        server.kill();
        start(&site, round).stop();
        Accounts::of(&clients).assert_stored_in(&site);
    }
}

/// Whoever reads the last answer kills the server.
fn start_and_stop(clients: &mut [Client], server: &Server, rng: &mut SmallRng) {
    let meeting = Arc::new(Meeting::default());
    meeting.begin(server);
    let barrier = Barrier::new(clients.len());
    let unanswered = AtomicUsize::new(clients.len());
    std::thread::scope(|scope| {
        for client in clients {
            let mut rng = SmallRng::seed_from_u64(rng.random());
            let (mut wire, barrier, unanswered) = (Wire::new(&meeting), &barrier, &unanswered);
            scope.spawn(move || {
                client.start(&mut wire, &mut rng);
                barrier.wait();
                client.stop(&mut wire, &mut rng);
                if unanswered.fetch_sub(1, SeqCst) == 1 {
                    server.signal(Signal::KILL);
                }
            });
        }
    });
}
