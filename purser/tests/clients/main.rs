//! End to end: real clients move a file, find each other through Purser alone, and their accounts show it.
//!
//! A v1 torrent is moved by Transmission and aria2. A hybrid is moved by two libtorrents (which qBittorrent and Deluge
//! are made of), because neither of the others can do it in Debian 12: Transmission 3.00 calls hybrids corrupt
//! (transmission/transmission#1339), aria2 1.36 gets their info hash wrong (aria2/aria2#1903). libtorrent announces both
//! of a hybrid's hashes, so that all that it counts comes twice. They do it over HTTP, and over UDP.
//!
//! How the torrent comes to them: registered by a command, or uploaded and downloaded over the API, as members do it.
//!
//! Ignored unless asked for, as the clients have to be installed: `scripts/test` does that, and runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../api/caller.rs"]
#[allow(dead_code, reason = "the API's own tests use more of it")]
mod caller;
mod clients;
mod programs;
mod site;
mod torrents;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use caller::Caller;
use clients::Start;
use programs::until;
use serde_json::json;
use site::{Database, Site};
use torrents::{FILE_NAME, Kind, SIZE};

/// For what takes as long as it takes: moving the file, and announces that a client puts off.
const PATIENCE: Duration = Duration::from_secs(120);

/// One flush interval (a second), and its transaction on a machine that builds something else at the same time.
const ONE_FLUSH: Duration = Duration::from_secs(20);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The two clients, in the order in which they start. The second connects, as it hears of the first from its own first
/// announce. (Transmission couldn't: it takes no loopback addresses from a tracker, but lets them come in.)
#[derive(Clone, Copy)]
enum Clients {
    TransmissionToAria2,
    TransmissionFromAria2,
    LibtorrentToLibtorrent,
    /// The only one of the three that puts the key into UDP announces (BEP 41).
    LibtorrentToLibtorrentOverUdp,
}

impl Clients {
    fn kind(self) -> Kind {
        match self.are_libtorrents() {
            true => Kind::Hybrid,
            false => Kind::V1,
        }
    }

    fn are_libtorrents(self) -> bool {
        matches!(
            self,
            Self::LibtorrentToLibtorrent | Self::LibtorrentToLibtorrentOverUdp
        )
    }
}

/// Ann has the file, Bob wants it.
fn file_is_moved_and_counted(clients: Clients, address: IpAddr, database: Database) {
    let mut site = Site::start(address, database);
    let (mut ann, mut bob) = (site.create_user("ann"), site.create_user("bob"));
    if matches!(clients, Clients::LibtorrentToLibtorrentOverUdp) {
        (ann, bob) = (site.over_udp(&ann), site.over_udp(&bob));
    }
    let has = site.folder("has");
    let torrent = torrents::make(&has, clients.kind(), &ann);
    site.register(&torrent, &[&ann, &bob]);
    let copies = [&ann, &bob].map(|url| torrent.copy_for(url));
    move_the_file(&site, clients, address, &has, copies);
    // Nothing that was still on its way counts a second time.
    site.stop();
    expect_the_file_on_both_accounts(&site);
}

/// An uploader brings a torrent, and the clients have nothing but what two members download of it.
fn what_was_uploaded_and_downloaded_is_moved_and_counted(
    clients: Clients,
    address: IpAddr,
    database: Database,
) {
    let site = Site::start(address, database);
    let [uma, ann, bob] = ["uma", "ann", "bob"].map(|name| site.member(name));
    let path = format!("/api/admin/users/{}/", uma.id());
    let promoted = site.admin().patch(&path, json!({ "role": "uploader" }));
    assert_eq!(promoted.status, 200, "{promoted:?}");
    let has = site.folder("has");
    let torrent = torrents::make(&has, clients.kind(), "http://tracker.invalid/announce");
    let file = fs::read(&torrent.path).unwrap();
    let uploaded = uma.form(&[("file", &file), ("category", b"movies")]);
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let uploaded = uploaded.json();
    assert_eq!(uploaded["private_added"], false);
    let hash = uploaded["info_hash"].as_str().unwrap();
    let has_v2 = uploaded["info_hash_v2"].is_string();
    assert_eq!(has_v2, matches!(clients.kind(), Kind::Hybrid));

    let copies = [(&ann, "ann"), (&bob, "bob")].map(|(member, name)| {
        let download = member.get(&format!("/api/torrents/{hash}/download/"));
        assert_eq!(download.status, 200, "{download:?}");
        site.wait_for_tracker(hash, &[&torrents::announce_url(&download.bytes)]);
        let copy = torrent.path.with_file_name(format!("{name}.torrent"));
        fs::write(&copy, &download.bytes).unwrap();
        copy
    });
    move_the_file(&site, clients, address, &has, copies);

    let stats = |member: &Caller| {
        let stats = member.get("/api/user/stats/").json();
        ["uploaded", "downloaded", "snatches"].map(|field| stats[field].as_i64().unwrap())
    };
    let moved = SIZE..2 * SIZE;
    assert_eq!(stats(&uma), [0, 0, 0]);
    let [uploaded, downloaded, snatches] = stats(&ann);
    assert!(moved.contains(&uploaded), "{uploaded}");
    assert_eq!((downloaded, snatches), (0, 0));
    let [_, downloaded, snatches] = stats(&bob);
    assert!(moved.contains(&downloaded), "{downloaded}");
    assert_eq!(snatches, 1);
    let torrent = bob.get(&format!("/api/torrents/{hash}/")).json();
    assert_eq!(torrent["completed"], 1);
}

/// From the first member's client to the second's, each with a .torrent of its own.
fn move_the_file(
    site: &Site,
    clients: Clients,
    address: IpAddr,
    has: &Path,
    [anns, bobs]: [PathBuf; 2],
) {
    let (protocol, other) = match clients {
        Clients::LibtorrentToLibtorrentOverUdp => ("udp", "http"),
        _ => ("http", "udp"),
    };
    let wants = site.folder("wants");
    let seeder = Start {
        site,
        address,
        torrent: anns,
        folder: has.to_owned(),
    };
    let leecher = Start {
        site,
        address,
        torrent: bobs,
        folder: wants.clone(),
    };

    let mut first = match clients {
        Clients::TransmissionToAria2 => seeder.transmission(),
        Clients::TransmissionFromAria2 => leecher.transmission(),
        Clients::LibtorrentToLibtorrent | Clients::LibtorrentToLibtorrentOverUdp => {
            seeder.libtorrent()
        }
    };
    until("the first client in the swarm", PATIENCE, || {
        site.sessions_in_swarms() == 1
    });
    let mut second = match clients {
        Clients::TransmissionToAria2 => leecher.aria2(),
        Clients::TransmissionFromAria2 => seeder.aria2(),
        Clients::LibtorrentToLibtorrent | Clients::LibtorrentToLibtorrentOverUdp => {
            leecher.libtorrent()
        }
    };
    until("`completed`", PATIENCE, || site.announces("completed") >= 1);
    until("a snatch in the database", ONE_FLUSH, || {
        site.number("select count(*) from snatches") == 1
    });
    second.stop();
    first.stop();
    until("`stopped` from both", PATIENCE, || {
        site.announces("stopped") >= 2
    });
    until("both to have left in the database", ONE_FLUSH, || {
        site.sessions_in_swarms() == 0
    });
    expect_the_file_on_both_accounts(site);
    assert!(site.announces_over(protocol) >= 5, "that many events");
    assert_eq!(site.announces_over(other), 0);

    let (sent, arrived) = (
        fs::read(has.join(FILE_NAME)).unwrap(),
        fs::read(wants.join(FILE_NAME)).unwrap(),
    );
    assert!(sent == arrived, "Bob has other bytes than Ann");
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
    ($of:ident; $($name:ident: $clients:ident, $address:ident, $database:ident, $needs:literal;)+) => {
        $(#[test]
        #[ignore = $needs]
        fn $name() {
            $of(Clients::$clients, $address, Database::$database);
        })+
    };
}

cases! {
    file_is_moved_and_counted;
    v1_torrent_over_ipv4: TransmissionToAria2, V4, Sqlite, "needs transmission and aria2: scripts/test runs it";
    v1_torrent_over_ipv6: TransmissionToAria2, V6, Sqlite, "needs transmission and aria2: scripts/test runs it";
    v1_torrent_the_other_way: TransmissionFromAria2, V4, Sqlite, "needs transmission and aria2: scripts/test runs it";
    v1_torrent_on_postgres: TransmissionToAria2, V4, Postgres,
        "needs transmission, aria2 and PURSER_TEST_POSTGRES: scripts/test runs it";
    hybrid_torrent_over_ipv4: LibtorrentToLibtorrent, V4, Sqlite, "needs python3-libtorrent: scripts/test runs it";
    hybrid_torrent_over_ipv6: LibtorrentToLibtorrent, V6, Sqlite, "needs python3-libtorrent: scripts/test runs it";
    udp_over_ipv4: LibtorrentToLibtorrentOverUdp, V4, Sqlite, "needs python3-libtorrent: scripts/test runs it";
    udp_over_ipv6: LibtorrentToLibtorrentOverUdp, V6, Sqlite, "needs python3-libtorrent: scripts/test runs it";
    hybrid_torrent_on_postgres: LibtorrentToLibtorrent, V6, Postgres,
        "needs python3-libtorrent and PURSER_TEST_POSTGRES: scripts/test runs it";
}

cases! {
    what_was_uploaded_and_downloaded_is_moved_and_counted;
    v1_torrent_over_the_api: TransmissionToAria2, V4, Sqlite, "needs transmission and aria2: scripts/test runs it";
    v1_torrent_over_the_api_on_postgres: TransmissionToAria2, V4, Postgres,
        "needs transmission, aria2 and PURSER_TEST_POSTGRES: scripts/test runs it";
    hybrid_torrent_over_the_api: LibtorrentToLibtorrent, V4, Sqlite, "needs python3-libtorrent: scripts/test runs it";
    hybrid_torrent_over_the_api_on_postgres: LibtorrentToLibtorrent, V4, Postgres,
        "needs python3-libtorrent and PURSER_TEST_POSTGRES: scripts/test runs it";
}
