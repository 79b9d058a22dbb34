//! What becomes of members by what they do: classes, hit-and-runs, low ratios; what they are told, and what the tracker
//! then does. Time is a parameter.

use api_server::services::conduct::{Reviewed, review};
use economy::policy::Policy;
use serde_json::json;
use store::Store;
use tracker_core::ids::UnixTime;

use crate::people::{Caller, Club};
use crate::site::{Database, runtime, until};

on_both_databases!(
    a_member_rises_with_what_the_class_asks_for_and_falls_after_the_grace_time,
    invites_of_a_class_are_given_once,
    a_hit_and_run_is_warned_of_then_suspends_and_is_mended,
    a_low_ratio_is_watched_suspended_and_mended,
    staff_are_not_judged,
);

const GIB: u64 = 1 << 30;
const DAY: u32 = 86_400;

/// Far from any edge of an hour.
const NOW: UnixTime = UnixTime(1_800_000_123);

fn days(count: u32) -> UnixTime {
    UnixTime(NOW.0 + count * DAY)
}

impl Club {
    fn review(&self, now: UnixTime) -> Reviewed {
        self.review_with("", now)
    }

    fn review_with(&self, policy: &str, now: UnixTime) -> Reviewed {
        runtime().block_on(async {
            let store = Store::open(&self.site.database_url()).await.unwrap();
            let policy = Policy::parse(policy).unwrap();
            let reviewed = review(&store, &policy, 500, now).await.unwrap();
            // Asked twice, it changes nothing more.
            let again = review(&store, &policy, 500, now).await.unwrap();
            let members = reviewed.members;
            assert_eq!(
                again,
                Reviewed {
                    members,
                    ..Reviewed::default()
                }
            );
            store.close().await;
            reviewed
        })
    }

    fn set(&self, name: &str, columns: &str) {
        let rows: Vec<(i64,)> = self.site.rows(&format!(
            "update users set {columns} where username_key = '{name}' returning id"
        ));
        assert_eq!(rows.len(), 1);
    }
}

fn class(who: &Caller) -> String {
    let profile = who.get("/api/user/profile/").json();
    profile["user_class"].as_str().unwrap().to_owned()
}

fn told(who: &Caller, kind: &str) -> Vec<String> {
    let all = who.all("/api/user/notifications/?limit=50");
    let of_kind = all.iter().filter(|row| row["kind"] == kind);
    of_kind
        .map(|row| row["message"].as_str().unwrap().to_owned())
        .collect()
}

fn a_member_rises_with_what_the_class_asks_for_and_falls_after_the_grace_time(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let almost = 10 * GIB - 1;
    let joined = NOW.0 - 7 * DAY;
    club.set(
        "ann",
        &format!("created_at = {joined}, uploaded = {almost}"),
    );
    assert_eq!(club.review(NOW).promoted, 0);
    club.set(
        "ann",
        &format!("uploaded = {almost} + 1, created_at = {joined} + 1"),
    );
    assert_eq!(club.review(NOW).promoted, 0);
    // To the byte, and to the second.
    club.set("ann", &format!("created_at = {joined}"));
    let reviewed = club.review(NOW);
    assert_eq!((reviewed.members, reviewed.promoted), (1, 1));
    assert_eq!(class(&ann), "member");
    assert_eq!(told(&ann, "class"), ["you are member now"]);

    // A ratio of 0.6 is the least.
    club.set(
        "ann",
        "credited_uploaded = 599, credited_downloaded = 1000, downloaded = 1000",
    );
    assert_eq!(club.review(NOW).warned, 1);
    let warning = &told(&ann, "class")[0];
    assert!(
        warning.starts_with("you no longer have what member asks for"),
        "{warning}"
    );
    let last = UnixTime(days(14).0 - 1);
    assert_eq!(club.review(last).demoted, 0);
    assert_eq!(class(&ann), "member");
    assert_eq!(club.review(days(14)).demoted, 1);
    assert_eq!(class(&ann), "newbie");
    assert_eq!(told(&ann, "class")[0], "you are newbie from now on");
    club.set("ann", "credited_uploaded = 600");
    assert_eq!(club.review(days(15)).promoted, 1);
}

fn invites_of_a_class_are_given_once(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let old = NOW.0 - 70 * DAY;
    club.set(
        "ann",
        &format!("created_at = {old}, uploaded = {}", 250 * GIB),
    );
    let hash = club.site.add_torrent();
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let seeding = "uploaded=0&downloaded=0&left=0";
    club.server.announce_when_known(key, &hash, 6881, seeding);
    until(|| {
        let seconds = 720 * 3600;
        let rows: Vec<(i64,)> = club.site.rows(&format!(
            "update sessions set seeded_secs = {seconds} returning user_id"
        ));
        (!rows.is_empty()).then_some(())
    });
    assert_eq!(club.review(NOW).promoted, 1);
    let invites = || {
        ann.get("/api/user/profile/").json()["invites"]
            .as_u64()
            .unwrap()
    };
    assert_eq!((class(&ann), invites()), ("trusted".to_owned(), 2));
    assert_eq!(
        told(&ann, "class"),
        ["you are trusted now, and have 2 more invites"]
    );
    club.set("ann", "class = 'newbie', invites = 0");
    assert_eq!(club.review(NOW).promoted, 1);
    assert_eq!((class(&ann), invites()), ("trusted".to_owned(), 0));
}

fn a_hit_and_run_is_warned_of_then_suspends_and_is_mended(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let other = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tracker-core/tests/fixtures/v1-single.torrent"
    );
    club.site.run(&format!("add-torrent {other}"));
    let leeching = "uploaded=0&downloaded=0&left=9";
    let reply = club.server.announce_when_known(key, &hash, 6881, leeching);
    assert!(reply.contains("8:interval"), "{reply}");
    let (id, finished) = (ann.id(), NOW.0);
    let _: Vec<(i64,)> = club.site.rows(&format!(
        "insert into snatches (user_id, torrent_id, completed_at) values ({id}, 1, {finished}), ({id}, 2, {finished})
         returning torrent_id"
    ));
    let policy = "[hit_and_run]\nmax_open = 1\n";
    assert_eq!(club.review_with(policy, UnixTime(days(11).0 - 1)).warned, 0);
    assert_eq!(club.review_with(policy, days(11)).warned, 1);
    let warnings = told(&ann, "hit_and_run");
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings[0].contains("must be seeded for 72 more hours by"),
        "{warnings:?}"
    );
    assert_eq!(
        club.review_with(policy, UnixTime(days(14).0 - 1)).suspended,
        0
    );
    assert_eq!(club.review_with(policy, days(14)).suspended, 1);
    let suspension = &told(&ann, "hit_and_run")[0];
    assert!(
        suspension.contains("you have 2 hit-and-runs open, and 1 is the most"),
        "{suspension}"
    );
    until(|| {
        let reply = club.server.announce(key, &hash, 6881, leeching);
        reply.contains("your downloads are suspended").then_some(())
    });
    let seeding = club
        .server
        .announce(key, &hash, 6882, "uploaded=0&downloaded=0&left=0");
    assert!(seeding.contains("8:interval"), "{seeding}");
    let stopped = "uploaded=0&downloaded=0&left=0&event=stopped";
    club.server.announce(key, &hash, 6882, stopped);
    until(|| {
        let seen = "select active from sessions where role = 'seeder'";
        let rows: Vec<(bool,)> = club.site.rows(seen);
        (rows == [(false,)]).then_some(())
    });

    let _: Vec<(i64,)> = club
        .site
        .rows("update snatches set settled_at = 1 where torrent_id = 2 returning user_id");
    assert_eq!(club.review_with(policy, days(15)).restored, 1);
    until(|| {
        let reply = club.server.announce(key, &hash, 6881, leeching);
        reply.contains("8:interval").then_some(())
    });
    // A year later nobody minds the other.
    let policy = "[hit_and_run]\nmax_open = 0\n";
    assert_eq!(club.review_with(policy, days(16)).suspended, 1);
    assert_eq!(club.review_with(policy, days(14 + 366)).restored, 1);
}

fn a_low_ratio_is_watched_suspended_and_mended(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let leeching = "uploaded=0&downloaded=0&left=9&event=started";
    club.server.announce_when_known(key, &hash, 6881, leeching);
    let has = |uploaded: u64, downloaded: u64| {
        club.set(
            "ann",
            &format!("credited_uploaded = {uploaded}, credited_downloaded = {downloaded}"),
        );
    };
    let announced = |says: &str| {
        until(|| {
            let reply = club.server.announce(key, &hash, 6881, leeching);
            reply.contains(says).then_some(())
        });
    };
    // Too little to say anything, and just enough ratio.
    has(0, 10 * GIB - 1);
    assert_eq!(club.review(NOW).warned, 0);
    has(5 * GIB, 10 * GIB);
    assert_eq!(club.review(NOW).warned, 0);
    has(5 * GIB - 1, 10 * GIB);
    assert_eq!(club.review(NOW).warned, 1);
    assert!(told(&ann, "ratio")[0].starts_with("your ratio is below 0.5: raise it by "));
    announced("your ratio is too low");
    assert_eq!(club.review(UnixTime(days(14).0 - 1)).suspended, 0);
    assert_eq!(club.review(days(14)).suspended, 1);
    announced("your downloads are suspended");
    has(5 * GIB, 10 * GIB);
    assert_eq!(club.review(days(15)).restored, 1);
    assert_eq!(
        told(&ann, "ratio")[0],
        "your ratio is high enough: you may download again"
    );
    announced("8:interval");
}

fn staff_are_not_judged(database: Database) {
    let club = Club::open(database);
    let staff = club.staff("sam");
    club.set("sam", &format!("created_at = 1, uploaded = {}", 30 * GIB));
    assert_eq!(club.review(NOW), Reviewed::default());
    assert_eq!(class(&staff), "newbie");
}
