//! How many torrents a member may download at a time, by class.

use tracker_core::ids::{InfoHash, TorrentId, UserId};
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::settings::Settings;

use crate::support::*;
use crate::udp_client::{STARTED, STOPPED, UdpClient, announce, error};

/// Ten for newbies, one for members, and no limit for the others. Torrents 1 to 20, beside those of every site.
fn site() -> Site {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        download_slots: [10, 1, 0, 0],
        track_unregistered: true,
        ..Settings::default()
    });
    (1..=20).for_each(|number| put(&site, number, TorrentStatus::Open));
    site
}

fn put(site: &Site, number: u8, status: TorrentStatus) {
    site.tracker.swarms.put_torrent(&RegisteredTorrent {
        id: id(number),
        info_hash: torrent(number),
        info_hash_v2: None,
        status,
        completed: 0,
    });
}

fn id(number: u8) -> TorrentId {
    TorrentId(100 + u32::from(number))
}

fn torrent(number: u8) -> InfoHash {
    InfoHash([b'a' + number; 20])
}

fn put_member(site: &Site, class: UserClass) {
    site.tracker.roster.put_member(Member {
        id: UserId(1),
        status: MemberStatus::Active,
        class,
        leech: LeechRights::Free,
        passkey: Some([0x11; 16]),
    });
}

/// Member 1 leeches torrents 1 to 10.
fn full() -> Site {
    let site = site();
    (1..=10).for_each(|number| assert_answered(&site, &started(torrent(number))));
    site
}

fn started(hash: InfoHash) -> String {
    query(hash, 1) + "&event=started"
}

fn refused() -> String {
    failure(
        "you may download 10 torrents at a time: finish or stop one first",
        "i5e",
    )
}

#[track_caller]
fn assert_answered(site: &Site, query: &str) {
    let reply = site.announce(1, query);
    assert!(reply.contains("8:completei"), "{query}: {reply}");
}

#[track_caller]
fn assert_full(site: &Site) {
    for query in [started(torrent(20)), query(torrent(20), 1)] {
        assert_eq!(site.announce(1, &query), refused(), "{query}");
    }
}

/// Exactly one slot is free.
#[track_caller]
fn assert_one_is_free(site: &Site) {
    assert_answered(site, &started(torrent(19)));
    assert_full(site);
}

#[test]
fn the_tenth_download_is_let_in_and_the_eleventh_changes_nothing() {
    let site = full();
    site.records();
    assert_full(&site);
    assert_eq!(site.records(), []);
    let counts = site.tracker.swarms.counts(&torrent(20), None);
    assert_eq!(counts.map(|counts| counts.incomplete), Some(0));
    // Those that go on, and the other members.
    assert_answered(&site, &query(torrent(1), 1));
    assert_answered(&site, &started(torrent(10)));
    let other = site.announce(2, &query(torrent(20), 2));
    assert!(other.contains("10:incompletei1e"), "{other}");
}

#[test]
fn a_limit_of_one_is_said_in_the_singular() {
    let site = site();
    put_member(&site, UserClass::Member);
    assert_answered(&site, &started(torrent(1)));
    let one = failure(
        "you may download 1 torrent at a time: finish or stop one first",
        "i5e",
    );
    assert_eq!(site.announce(1, &started(torrent(2))), one);
}

#[test]
fn seeds_partial_seeds_last_words_and_strangers_torrents_need_no_slot() {
    let site = full();
    assert_answered(&site, &seeder(torrent(11), 1));
    assert_answered(&site, &(query(torrent(12), 1) + "&event=paused"));
    assert_answered(&site, &(query(torrent(13), 1) + "&event=stopped"));
    assert_answered(&site, &started(UNREGISTERED));
    assert_full(&site);
    // Who seeds and begins anew is one who downloads.
    assert_eq!(site.announce(1, &query(torrent(11), 1)), refused());
}

#[test]
fn a_download_that_ends_gives_its_slot_back() {
    let stop = |hash| query(hash, 1) + "&event=stopped";
    let complete = |hash| seeder(hash, 1) + "&event=completed";
    let pause = |hash| query(hash, 1) + "&event=paused";
    for end in [stop, complete, pause, |hash| seeder(hash, 1)] {
        let site = full();
        assert_answered(&site, &end(torrent(1)));
        // A copy of it gives nothing more.
        assert_answered(&site, &end(torrent(1)));
        assert_one_is_free(&site);
    }
}

#[test]
fn a_torrent_that_is_taken_down_gives_its_slots_back() {
    let site = full();
    put(&site, 1, TorrentStatus::Closed);
    assert_one_is_free(&site);
    site.tracker.swarms.remove_torrent(id(2));
    assert_answered(&site, &started(torrent(18)));
    assert_full(&site);
    // Once it is open again who was there goes on, and nobody else comes.
    put(&site, 1, TorrentStatus::Open);
    assert_answered(&site, &query(torrent(1), 1));
    assert_answered(&site, &(query(torrent(18), 1) + "&event=stopped"));
    assert_full(&site);
}

#[test]
fn two_clients_in_a_torrent_are_one_download() {
    let site = full();
    let second = |query: String| {
        query
            .replace("-XX0001-", "-YY0001-")
            .replace("port=1", "port=3")
    };
    assert_answered(&site, &second(started(torrent(1))));
    assert_full(&site);
    assert_answered(&site, &(query(torrent(1), 1) + "&event=stopped"));
    assert_full(&site);
    assert_answered(&site, &second(query(torrent(1), 1) + "&event=stopped"));
    assert_one_is_free(&site);
}

/// A client that comes back under another peer id, at the address where it was.
#[test]
fn a_client_that_takes_its_own_place_keeps_the_slot() {
    let site = full();
    let restarted = started(torrent(1)).replace("-XX0001-", "-XX0002-");
    assert_answered(&site, &restarted);
    assert_full(&site);
    let seeds = seeder(torrent(1), 1).replace("-XX0001-", "-XX0003-");
    assert_answered(&site, &seeds);
    assert_one_is_free(&site);
    // It seeded somewhere else, and moves to where it leeched.
    let elsewhere = seeder(torrent(2), 1).replace("-XX0001-", "-XX0003-");
    assert_answered(&site, &elsewhere.replace("port=1", "port=3"));
    assert_full(&site);
    assert_answered(&site, &elsewhere);
    assert_answered(&site, &started(torrent(18)));
    assert_full(&site);
}

#[test]
fn both_hashes_of_a_hybrid_are_one_download() {
    let site = site();
    (1..=9).for_each(|number| assert_answered(&site, &started(torrent(number))));
    assert_answered(&site, &started(V1));
    assert_answered(&site, &started(V2));
    assert_full(&site);
    assert_answered(&site, &(query(V2, 1) + "&event=stopped"));
    assert_one_is_free(&site);
}

#[test]
fn an_unregistered_torrent_counts_from_when_it_is_registered() {
    let site = site();
    assert_answered(&site, &started(UNREGISTERED));
    (1..=9).for_each(|number| assert_answered(&site, &started(torrent(number))));
    site.tracker.swarms.put_torrent(&RegisteredTorrent {
        id: TorrentId(99),
        info_hash: UNREGISTERED,
        info_hash_v2: None,
        status: TorrentStatus::Open,
        completed: 0,
    });
    assert_full(&site);
}

#[test]
fn the_limit_is_that_of_the_class_at_the_time() {
    let site = full();
    put_member(&site, UserClass::Elite);
    (11..=20).for_each(|number| assert_answered(&site, &started(torrent(number))));
    // Who has too many after a demotion goes on with them.
    put_member(&site, UserClass::Newbie);
    (1..=20).for_each(|number| assert_answered(&site, &query(torrent(number), 1)));
    let next = started(V1);
    (1..=10).for_each(|number| {
        assert_eq!(site.announce(1, &next), refused());
        assert_answered(&site, &(query(torrent(number), 1) + "&event=stopped"));
    });
    assert_eq!(site.announce(1, &next), refused());
    assert_answered(&site, &(query(torrent(11), 1) + "&event=stopped"));
    assert_answered(&site, &next);
}

#[test]
fn udp_is_told_the_same() {
    let site = full();
    let client = UdpClient::to(site.udp4());
    let refused = error(
        "anno",
        "you may download 10 torrents at a time: finish or stop one first",
    );
    let eleventh = announce(torrent(11), 1).event(STARTED);
    assert_eq!(client.announce(&eleventh), refused);
    let regular = client.announce(&announce(torrent(1), 1));
    assert!(regular.starts_with("\\x00\\x00\\x00\\x01anno"), "{regular}");
    client.announce(&announce(torrent(1), 1).event(STOPPED));
    let let_in = client.announce(&eleventh);
    assert!(let_in.starts_with("\\x00\\x00\\x00\\x01anno"), "{let_in}");
    assert_full(&site);
}
