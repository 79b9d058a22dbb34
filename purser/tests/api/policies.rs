//! Freeleech and upload factors: what admins make bytes count, and what members then have.

use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::site::{Database, until};

on_both_databases!(
    freeleech_leaves_a_download_uncounted,
    a_policy_is_for_whom_it_says,
    wrong_policies_are_refused_and_nothing_is_written,
    who_may_not_make_policies_is_refused,
);

const POLICIES: &str = "/api/admin/policies/";

fn make(admin: &Caller, body: Value) -> Value {
    let made = admin.post(POLICIES, body);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

fn freeleech_leaves_a_download_uncounted(database: Database) {
    let club = Club::open(database);
    let (admin, ann) = (club.admin(), club.member("ann"));
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let torrent = format!("/api/torrents/{}/", hash.replace('%', ""));
    assert_eq!(ann.get(&torrent).json()["freeleech"], false);

    let policy = make(
        &admin,
        json!({ "scope": "global", "download_percent": 0, "upload_percent": 300 }),
    );
    assert_eq!(
        (&policy["target"], &policy["ends_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(ann.get(&torrent).json()["freeleech"], true);
    let listed = ann.get("/api/torrents/").json();
    assert_eq!(listed["results"][0]["freeleech"], true);

    let announce = |rest: &str| {
        let reply = club.server.announce_when_known(key, &hash, 6881, rest);
        assert!(reply.contains("8:interval"), "{reply}");
    };
    announce("uploaded=0&downloaded=0&left=100&event=started");
    announce("uploaded=20&downloaded=60&left=40");
    let stats = until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["downloaded"] == 60).then_some(stats)
    });
    assert_eq!(stats["uploaded"], 20);
    assert_eq!(stats["credited_uploaded"], 60);
    assert_eq!(stats["credited_downloaded"], 0);
    assert_eq!(stats["ratio"], Value::Null);

    let one = format!("{POLICIES}{}/", policy["id"]);
    assert_eq!(admin.delete(&one).status, 204);
    admin.delete(&one).is_problem(409, "conflict");
    assert_eq!(ann.get(&torrent).json()["freeleech"], false);
    let log = admin.all("/api/logs/system-logs/?");
    assert_eq!(
        (&log[0]["action"], &log[1]["action"]),
        (&json!("policy.end"), &json!("policy.create"))
    );
    assert_eq!(
        log[1]["detail"],
        "everybody: downloads count 0 %, uploads 300 %"
    );
}

fn a_policy_is_for_whom_it_says(database: Database) {
    let club = Club::open(database);
    let (admin, _) = (club.admin(), club.member("Ann"));
    let hash = club.site.add_torrent().replace('%', "");
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tracker-core/tests/fixtures/v1-single.torrent"
    );
    let other = club.site.run(&format!("add-torrent {fixture}"));
    let body = |scope: &str, target: &str| {
        json!({
            "scope": scope, "target": target, "download_percent": 0, "upload_percent": 100,
            "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-02T00:00:00Z",
        })
    };
    let class = make(&admin, body("class", "elite"));
    let user = make(&admin, body("user", "ann"));
    let torrent = make(&admin, body("torrent", &hash));
    assert_eq!(user["target"], "Ann");
    assert_eq!(torrent["target"], hash);
    assert_eq!(torrent["starts_at"], "2099-01-01T00:00:00Z");
    let staff = club.staff("sam");
    assert_eq!(
        staff.all(&format!("{POLICIES}?limit=2")),
        [torrent, user, class]
    );
    let problem = admin
        .post(POLICIES, body("torrent", &hash))
        .is_problem(409, "conflict");
    assert!(
        problem["detail"].as_str().unwrap().contains("policy 3"),
        "{problem}"
    );
    // It hasn't begun; and one that has is for its torrent alone.
    let free =
        |hash: &str| admin.get(&format!("/api/torrents/{hash}/")).json()["freeleech"].clone();
    assert_eq!(free(&hash), false);
    assert_eq!(admin.delete(&format!("{POLICIES}3/")).status, 204);
    assert_eq!(
        admin.get(POLICIES).json()["results"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    make(
        &admin,
        json!({ "scope": "torrent", "target": hash, "download_percent": 0, "upload_percent": 100 }),
    );
    assert_eq!((free(&hash), free(&other)), (json!(true), json!(false)));
}

fn wrong_policies_are_refused_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let good = json!({ "scope": "global", "download_percent": 0, "upload_percent": 100 });
    let with = |changes: Value| {
        let mut body = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        admin.post(POLICIES, body)
    };
    with(json!({ "download_percent": 101 })).minds(&["download_percent"]);
    with(json!({ "download_percent": -1 })).minds(&["download_percent"]);
    with(json!({ "upload_percent": 99 })).minds(&["upload_percent"]);
    with(json!({ "upload_percent": 1001 })).minds(&["upload_percent"]);
    with(json!({ "upload_percent": 70000 })).minds(&["upload_percent"]);
    with(json!({ "download_percent": 100 })).minds(&["download_percent"]);
    with(json!({ "starts_at": "2001-01-01T00:00:00Z" })).minds(&["starts_at"]);
    with(json!({ "ends_at": "2001-01-01T00:00:00Z" })).minds(&["ends_at"]);
    with(json!({ "starts_at": "2099-01-02T00:00:00Z", "ends_at": "2099-01-02T00:00:00Z" }))
        .minds(&["ends_at"]);
    with(json!({ "scope": "planet" })).minds(&["scope"]);
    with(json!({ "target": "x" })).minds(&["target"]);
    for (scope, target) in [
        ("class", Value::Null),
        ("class", json!("Elite")),
        ("user", json!("nobody")),
        ("user", json!("a\u{0}b")),
        ("user", Value::Null),
        ("torrent", json!("00")),
        ("torrent", json!("0".repeat(40))),
        ("torrent", Value::Null),
    ] {
        with(json!({ "scope": scope, "target": target })).minds(&["target"]);
    }
    with(json!({ "percent": 1 })).is_problem(422, "invalid");
    assert_eq!(admin.get(POLICIES).json()["results"], json!([]));
    admin
        .delete(&format!("{POLICIES}1/"))
        .is_problem(404, "not-found");
}

fn who_may_not_make_policies_is_refused(database: Database) {
    let club = Club::open(database);
    let (ann, staff) = (club.member("ann"), club.staff("sam"));
    let body = json!({ "scope": "global", "download_percent": 0, "upload_percent": 100 });
    club.anonymous()
        .get(POLICIES)
        .is_problem(401, "unauthenticated");
    ann.get(POLICIES).is_problem(403, "forbidden");
    for who in [&ann, &staff] {
        who.post(POLICIES, body.clone())
            .is_problem(403, "forbidden");
        who.delete(&format!("{POLICIES}1/"))
            .is_problem(403, "forbidden");
    }
    assert_eq!(staff.get(POLICIES).status, 200);
}
