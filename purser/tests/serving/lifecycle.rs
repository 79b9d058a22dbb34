//! Starting, stopping, starting again: what members moved stays on their accounts, who was in a swarm still is.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::site::{Database, Site, until};

const SEEDING: &str = "uploaded=0&downloaded=0&left=0&event=started";
const LEECHING: &str = "uploaded=0&downloaded=0&left=9&event=started";

/// The one announce that is answered right before the signal is in the database, and the swarm comes back.
fn signal_drains_and_flushes(database: Database, signal: Signal) {
    let site = Site::new(database);
    let server = site.start("serve");
    let (ann, bob, hash) = (
        site.create_user("ann"),
        site.create_user("bob"),
        site.add_torrent(),
    );
    server.announce_when_known(&ann, &hash, 1001, SEEDING);
    server.announce_when_known(&bob, &hash, 1002, LEECHING);
    server.announce(
        &ann,
        &hash,
        1001,
        "uploaded=700&downloaded=0&left=0&event=completed",
    );
    let before = until(|| {
        let counts = server.scrape(&ann, &hash);
        // The snatch shows once it is in the database.
        counts.contains("10:downloadedi1e").then_some(counts)
    });
    assert!(
        before.contains("8:completei1e") && before.contains("10:incompletei1e"),
        "{before}"
    );
    // And this comes right before the signal.
    server.announce(&ann, &hash, 1001, "uploaded=900&downloaded=0&left=0");
    server.signal(signal);
    let (status, stderr) = server.ended();
    assert!(status.success(), "{status}: {stderr}");
    assert!(stderr.contains("everything is saved"), "{stderr}");

    let server = site.start("serve");
    assert!(server.banner["first_start"].is_null());
    assert_eq!(server.scrape(&ann, &hash), before);
    assert_eq!(site.uploaded("ann"), 900);
    // Bob isn't a stranger either: as in any regular announce, too early counts.
    let reply = server.announce(&bob, &hash, 1002, "uploaded=0&downloaded=0&left=9");
    assert!(reply.contains("announced too soon"), "{reply}");
    let reply = server.announce(&bob, &hash, 1002, LEECHING);
    assert!(reply.contains("\\x03\\xe9"), "ann's port: {reply}");
    server.stop();
}

fn sigterm_drains_and_flushes(database: Database) {
    signal_drains_and_flushes(database, Signal::TERM);
}

fn sigint_drains_and_flushes(database: Database) {
    signal_drains_and_flushes(database, Signal::INT);
}

/// One config, one machine, two processes.
fn tracker_and_api_run_apart(database: Database) {
    let site = Site::new(database);
    let tracker = site.start("tracker");
    let api = site.start("api");
    assert!(tracker.banner["api"].is_null() && api.banner["announce"].is_null());
    assert_eq!(api.get("api", "/api/logs/health/").0, "HTTP/1.1 200 OK");
    assert_eq!(api.get("metrics", "/readyz").0, "HTTP/1.1 200 OK");
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    let reply = tracker.announce_when_known(&ann, &hash, 1001, SEEDING);
    assert!(reply.starts_with("d8:complete"), "{reply}");
    api.stop();
    tracker.stop();
}

on_both_databases!(
    sigterm_drains_and_flushes,
    sigint_drains_and_flushes,
    tracker_and_api_run_apart
);

#[test]
fn first_start_makes_an_administrator_whose_announce_url_works() {
    let site = Site::new(Database::Sqlite);
    let server = site.start("serve");
    let database = std::fs::metadata(site.path().join("data/purser.db")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
    let admin = server.banner["first_start"].clone();
    assert_eq!(admin["username"], "admin");
    assert_eq!(admin["password"].as_str().unwrap().len(), 20);
    let key = admin["announce_url"]
        .as_str()
        .unwrap()
        .rsplit_once('/')
        .unwrap()
        .1;
    let hash = site.add_torrent();
    let reply = server.announce_when_known(key, &hash, 1001, SEEDING);
    assert!(reply.starts_with("d8:complete"), "{reply}");
    server.stop();
}

#[test]
fn second_tracker_on_the_same_folder_is_refused() {
    let site = Site::new(Database::Sqlite);
    let server = site.start("serve");
    let line = site.run_badly("tracker", &[]);
    assert!(
        line.contains("data_dir: data is in use by another tracker"),
        "{line}"
    );
    server.stop();
}

#[test]
fn sighup_reloads_a_good_config_and_survives_a_bad_one() {
    let site = Site::new(Database::Sqlite);
    site.write("config.toml", "");
    let server = site.start_with("serve", &[("PURSER__LOG__FILE", "logs/purser.log")]);
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    let reply = server.announce_when_known(&ann, &hash, 1001, SEEDING);
    assert!(reply.contains("8:intervali1800e"), "{reply}");

    site.write("config.toml", "[tracker]\nannounce_interval_secs = 2400\n");
    server.signal(Signal::HUP);
    until(|| {
        let reply = server.announce(&ann, &hash, 1001, SEEDING);
        reply.contains("8:intervali2400e").then_some(())
    });
    site.write("config.toml", "[tracker]\nanounce_interval_secs = 60\n");
    server.signal(Signal::HUP);
    until(|| {
        logged(&site)
            .contains("anounce_interval_secs")
            .then_some(())
    });
    let reply = server.announce(&ann, &hash, 1001, SEEDING);
    assert!(reply.contains("8:intervali2400e"), "{reply}");
    server.stop();
}

/// What is in the log files of `logs/`.
fn logged(site: &Site) -> String {
    let files = std::fs::read_dir(site.path().join("logs")).unwrap();
    files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}
