//! A disk with too little room for the journal.

use std::sync::Arc;
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::accounts::Accounts;
use crate::client::Client;
use crate::load::{NOBODY_IS_EARLY, seed, settle};
use crate::meeting::Meeting;
use crate::site::{Database, Site, runtime, until};
use crate::wire::Wire;

/// What the journal can take: 0 everything, 2 last words.
const PRESSURE: &str = "purser_journal_pressure";

/// The oldest announce that isn't in the database yet, in seconds.
const LAG: &str = "purser_persist_lag_seconds";

/// Announces on their way at once, on each connection.
const AT_ONCE: usize = 250;

/// A SQLite database that another program writes to, and doesn't come to an end.
struct Locked {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Locked {
    fn new(site: &Site) -> Self {
        let runtime = runtime();
        let connection = runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&site.database_url())
                .await
                .unwrap();
            let lock = sqlx::raw_sql("begin immediate");
            lock.execute(&mut connection).await.unwrap();
            connection
        });
        Self {
            runtime,
            connection,
        }
    }

    fn release(self) {
        self.runtime.block_on(self.connection.close()).unwrap();
    }
}

/// All of them, in four threads; whatever they do is done by each when this returns.
fn each(
    clients: &mut [Client],
    meeting: &Arc<Meeting>,
    rng: &mut SmallRng,
    act: impl Fn(&mut Client, &mut Wire, &mut SmallRng) + Sync,
) {
    let share = clients.len().div_ceil(4);
    thread::scope(|scope| {
        for clients in clients.chunks_mut(share) {
            let (mut rng, act) = (SmallRng::seed_from_u64(rng.random()), &act);
            let mut wire = Wire::new(meeting);
            scope.spawn(move || {
                for client in clients {
                    act(client, &mut wire, &mut rng);
                }
            });
        }
    });
}

/// Segments have 16 MiB, so there is room for one.
#[test]
#[ignore = "needs unshare and mount, which scripts/test may use"]
fn full_disk_takes_last_words_alone_until_the_database_is_back() {
    let site = Site::new(Database::Sqlite);
    let mut rng = SmallRng::seed_from_u64(seed());
    let mut clients = settle(&site);
    let server = site.start_on_a_disk_of(17, &[NOBODY_IS_EARLY]);
    let meeting = Arc::new(Meeting::default());
    meeting.begin(&server);
    each(&mut clients, &meeting, &mut rng, Client::start);

    let locked = Locked::new(&site);
    let mut is_full = false;
    while !is_full {
        each(&mut clients, &meeting, &mut rng, |client, wire, rng| {
            client.hurry(wire, rng, AT_ONCE);
        });
        is_full = server.metric(PRESSURE) == Some(2.0);
    }
    let mut wire = Wire::new(&meeting);
    assert!(clients[0].is_turned_away(&mut wire, ""));
    assert!(clients[0].is_turned_away(&mut wire, "started"));
    clients[0].stop(&mut wire, &mut rng);

    locked.release();
    until(|| (server.metric(PRESSURE) == Some(0.0)).then_some(()));
    each(&mut clients, &meeting, &mut rng, |client, wire, _| {
        client.say_where_it_is(wire)
    });
    clients[0].start(&mut wire, &mut rng);
    let (troubles, first) = meeting.troubles();
    assert_eq!(troubles, 0, "{first:?}");
    until(|| (server.metric(LAG) == Some(0.0)).then_some(()));
    server.signal(Signal::TERM);
    let (status, stderr) = server.ended();
    assert!(status.success(), "{status}: {stderr}");
    for line in [
        "the journal is full: all announces but last words are refused",
        "the journal has room again",
        "stopped, everything is saved",
    ] {
        assert!(stderr.contains(line), "{line}: {stderr}");
    }
    Accounts::of(&clients).assert_stored_in(&site);
}
