//! What is counted now and then.

use serde_json::json;

use crate::people::Club;
use crate::site::{Database, until};

on_both_databases!(lists_know_who_seeds_once_it_is_counted);

fn lists_know_who_seeds_once_it_is_counted(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let hash = club.site.add_torrent();
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let counts = |seeding: u32, leeching: u32| {
        until(|| {
            let stats = ann.get("/api/user/stats/").json();
            (stats["seeding"] == seeding && stats["leeching"] == leeching).then_some(())
        });
        club.site.run("update-stats");
        let path = format!("/api/torrents/{}/", hash.replace('%', ""));
        let torrent = ann.get(&path).json();
        assert_eq!(torrent["seeders"], seeding, "{torrent}");
        assert_eq!(torrent["leechers"], leeching, "{torrent}");
    };
    let say = |rest: &str| {
        let rest = format!("uploaded=0&downloaded=0&{rest}");
        club.server.announce_when_known(key, &hash, 6881, &rest);
    };
    say("left=9&event=started");
    counts(0, 1);
    say("left=0&event=completed");
    counts(1, 0);
    say("left=0&event=stopped");
    counts(0, 0);
    let output = club.site.run("--json update-stats");
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    let peers = &output["jobs"][0];
    assert_eq!(peers["name"], "peers");
    assert_eq!(
        peers["report"],
        "seeders and leechers of 0 torrents had changed"
    );
}
