//! A class's download slots, from the policy's file to the announce.

use rustix::process::Signal;
use serde_json::json;
use store::{Category, NewFile, NewTorrent, Store};
use tracker_core::ids::{InfoHash, UnixTime};
use tracker_core::registry::TorrentStatus;

use crate::people::{Caller, Club};
use crate::site::{Database, runtime, until};

on_both_databases!(
    a_newbies_eleventh_download_is_refused_until_they_rise,
    another_limit_holds_once_the_policy_is_read_again,
);

const FULL: &str = "you may download 10 torrents at a time: finish or stop one first";

fn add_torrents(club: &Club, count: u8) {
    runtime().block_on(async {
        let store = Store::open(&club.site.database_url()).await.unwrap();
        for number in 1..=count {
            let torrent = NewTorrent {
                info_hash: InfoHash([number; 20]),
                info_hash_v2: None,
                name: format!("torrent {number}"),
                size: 9,
                piece_length: 1 << 14,
                private: true,
                category: Category::Other,
                description: String::new(),
                status: TorrentStatus::Open,
                uploader: None,
                files: vec![NewFile {
                    path: "file".to_owned(),
                    length: 9,
                }],
                metainfo: vec![number],
                created_at: UnixTime::now(),
            };
            store.add_torrent(&torrent).await.unwrap();
        }
        store.close().await;
    });
}

fn key_of(member: &Caller) -> String {
    let made = member.post("/api/user/tokens/", json!({})).json();
    made["token"].as_str().unwrap().to_owned()
}

fn leech(club: &Club, key: &str, number: u8) -> String {
    let hash = format!("%{number:02x}").repeat(20);
    let started = "uploaded=0&downloaded=0&left=9&event=started";
    club.server.announce_when_known(key, &hash, 6881, started)
}

fn is_answered(reply: &str) -> bool {
    reply.contains("10:incompletei1e")
}

fn a_newbies_eleventh_download_is_refused_until_they_rise(database: Database) {
    let club = Club::open(database);
    let (admin, ann) = (club.admin(), club.member("ann"));
    let (key, path) = (key_of(&ann), format!("/api/admin/users/{}/", ann.id()));
    add_torrents(&club, 11);
    for number in 1..=10 {
        let reply = leech(&club, &key, number);
        assert!(is_answered(&reply), "{number}: {reply}");
    }
    let reply = leech(&club, &key, 11);
    assert!(reply.contains(FULL), "{reply}");
    let refusals = r#"purser_refusals_total{reason=\"download_slots\"}"#;
    assert_eq!(club.server.metric(refusals), Some(1.0));

    // A restart finds the ten downloads again.
    let Club { site, server } = club;
    server.stop();
    let server = site.start_with("serve", &[("PURSER__API__REQUESTS_PER_MINUTE", "0")]);
    let club = Club { site, server };
    let reply = leech(&club, &key, 11);
    assert!(reply.contains(FULL), "{reply}");
    assert!(is_answered(&leech(&club, &key, 1)));

    let admin = Caller::at(&club.server).with(admin.bearer.as_ref().unwrap());
    let changed = admin.patch(&path, json!({ "user_class": "member" }));
    assert_eq!(changed.status, 200, "{changed:?}");
    until(|| is_answered(&leech(&club, &key, 11)).then_some(()));
}

fn another_limit_holds_once_the_policy_is_read_again(database: Database) {
    let site = crate::site::Site::new(database);

    site.write("economy.toml", "[classes.newbie]\ndownload_slots = 1\n");
    site.write("config.toml", "[credits]\npolicy = \"economy.toml\"\n");
    let server = site.start_with("serve", &[("PURSER__API__REQUESTS_PER_MINUTE", "0")]);
    let club = Club { site, server };
    let key = key_of(&club.member("ann"));
    add_torrents(&club, 3);
    assert!(is_answered(&leech(&club, &key, 1)));
    let reply = leech(&club, &key, 2);
    let full = "you may download 1 torrent at a time";
    assert!(reply.contains(full), "{reply}");

    club.site
        .write("economy.toml", "[classes.newbie]\ndownload_slots = 2\n");
    club.server.signal(Signal::HUP);
    until(|| is_answered(&leech(&club, &key, 2)).then_some(()));
    let reply = leech(&club, &key, 3);
    assert!(reply.contains("you may download 2 torrents"), "{reply}");
}
