//! End to end: real clients move a file, find each other through Purser alone, and their accounts show it.
//!
//! aria2 is one of the two. A v1 torrent's other one is Transmission. A hybrid's is libtorrent, because the Transmission
//! that Debian 12 has (3.00) can't read hybrids, and because libtorrent announces both of a hybrid's hashes: all of its
//! counters come twice.
//!
//! Ignored unless asked for, as the clients have to be installed: `scripts/test` does that, and runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod programs;
mod site;
mod torrents;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clients::Client;
use programs::until;
use site::{Database, Site};
use torrents::{FILE_NAME, Kind, SIZE};

/// For what takes as long as it takes: moving the file, and announces that a client puts off.
const PATIENCE: Duration = Duration::from_secs(120);

/// One flush interval (a second), and its transaction on a machine that builds something else at the same time.
const ONE_FLUSH: Duration = Duration::from_secs(4);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[derive(Clone, Copy)]
enum Direction {
    ToAria2,
    FromAria2,
}

/// Ann has the file, Bob wants it. aria2 comes second and connects: Transmission takes no peers on loopback addresses
/// from a tracker, but lets them come in.
fn file_is_moved_and_counted(
    kind: Kind,
    direction: Direction,
    address: IpAddr,
    database: Database,
) {
    let mut site = Site::start(address, database);
    let (ann, bob) = (site.create_user("ann"), site.create_user("bob"));
    let (has, wants) = (site.folder("has"), site.folder("wants"));
    let torrent = torrents::make(&has, kind, &ann);
    site.register(&torrent, &[&ann, &bob]);
    let (for_ann, for_bob) = (torrent.copy_for(&ann), torrent.copy_for(&bob));
    let (seeder, leecher) = (
        (for_ann.as_path(), has.as_path()),
        (for_bob.as_path(), wants.as_path()),
    );
    let (first, second) = match direction {
        Direction::ToAria2 => (seeder, leecher),
        Direction::FromAria2 => (leecher, seeder),
    };

    let mut other = match kind {
        Kind::V1 => Client::transmission(&site, address, first.0, first.1),
        Kind::Hybrid => Client::libtorrent(&site, address, first.0, first.1),
    };
    until("the first client in the swarm", PATIENCE, || {
        site.sessions_in_swarms() == 1
    });
    let mut aria2 = Client::aria2(&site, address, second.0, second.1);
    until("`completed`", PATIENCE, || site.announces("completed") >= 1);
    until("a snatch in the database", ONE_FLUSH, || {
        site.number("select count(*) from snatches") == 1
    });
    aria2.stop();
    other.stop();
    until("`stopped` from both", PATIENCE, || {
        site.announces("stopped") >= 2
    });
    until("both to have left in the database", ONE_FLUSH, || {
        site.sessions_in_swarms() == 0
    });
    expect_the_file_on_both_accounts(&site);

    let (sent, arrived) = (
        fs::read(has.join(FILE_NAME)).unwrap(),
        fs::read(wants.join(FILE_NAME)).unwrap(),
    );
    assert!(sent == arrived, "Bob has other bytes than Ann");
    // Nothing that was still on its way counts a second time.
    site.stop();
    expect_the_file_on_both_accounts(&site);
}

/// At least the file's size, and less than twice that: some blocks may have been sent again, but all was counted once.
fn expect_the_file_on_both_accounts(site: &Site) {
    let uploaded = site.number("select uploaded from users where username = 'ann'");
    assert!(
        (SIZE..2 * SIZE).contains(&uploaded),
        "Ann uploaded {uploaded} for {SIZE}"
    );
    let downloaded = site.number("select downloaded from users where username = 'bob'");
    assert!(
        (SIZE..2 * SIZE).contains(&downloaded),
        "Bob downloaded {downloaded} for {SIZE}"
    );
    assert_eq!(
        site.number("select downloaded from users where username = 'ann'"),
        0
    );
    assert_eq!(site.number("select count(*) from snatches"), 1);
    assert_eq!(site.number("select completed from torrents"), 1);
}

macro_rules! cases {
    ($($name:ident: $kind:ident, $direction:ident, $address:ident;)+) => {
        $(#[test]
        #[ignore = "needs transmission, aria2 and libtorrent: scripts/test runs it"]
        fn $name() {
            file_is_moved_and_counted(Kind::$kind, Direction::$direction, $address, Database::Sqlite);
        })+
    };
}

cases! {
    v1_torrent_over_ipv4: V1, ToAria2, V4;
    v1_torrent_over_ipv6: V1, ToAria2, V6;
    hybrid_torrent_over_ipv4: Hybrid, ToAria2, V4;
    hybrid_torrent_over_ipv6: Hybrid, ToAria2, V6;
    v1_torrent_from_aria2: V1, FromAria2, V4;
    hybrid_torrent_from_aria2: Hybrid, FromAria2, V6;
}

#[test]
#[ignore = "needs transmission, aria2 and PURSER_TEST_POSTGRES: scripts/test runs it"]
fn v1_torrent_on_postgres() {
    file_is_moved_and_counted(Kind::V1, Direction::ToAria2, V4, Database::Postgres);
}
