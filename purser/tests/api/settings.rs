//! What admins change of the configuration while the program runs, and reports.

use serde_json::{Value, json};

use crate::people::Club;
use crate::site::{Database, until};

on_both_databases!(
    a_changed_interval_reaches_the_tracker_and_outlasts_a_restart,
    a_lower_limit_of_requests_holds_at_once,
    wrong_settings_are_refused_and_nothing_changes,
    who_may_not_configure_is_refused,
    a_report_counts_what_happened_between_two_moments,
);

const CONFIG: &str = "/api/admin/system-config/";
const REPORT: &str = "/api/admin/reports/generate/";

fn a_changed_interval_reaches_the_tracker_and_outlasts_a_restart(database: Database) {
    let club = Club::open(database);
    let (admin, ann) = (club.admin(), club.member("ann"));
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let seeding = "uploaded=0&downloaded=0&left=0";
    let reply = club.server.announce_when_known(key, &hash, 6881, seeding);
    assert!(reply.contains("8:intervali1800e"), "{reply}");

    let shorter = json!({ "tracker": { "announce_interval_secs": 1234 } });
    let changed = admin.patch(CONFIG, shorter);
    assert_eq!(changed.status, 200, "{changed:?}");
    let config = changed.json();
    assert_eq!(config["tracker"]["announce_interval_secs"], 1234);
    let set = &config["overrides"]["tracker.announce_interval_secs"];
    assert_eq!(
        (&set["value"], &set["changed_by"]),
        (&json!(1234), &json!("admin"))
    );
    until(|| {
        let reply = club.server.announce(key, &hash, 6881, seeding);
        reply.contains("8:intervali1234e").then_some(())
    });
    let log = admin.all("/api/logs/system-logs/?");
    assert_eq!(log[0]["action"], "setting.change");
    assert_eq!(log[0]["subject"], "tracker.announce_interval_secs");

    let Club { site, server } = club;
    drop(server);
    let club = Club {
        server: site.start("serve"),
        site,
    };
    let reply = club.server.announce(key, &hash, 6881, seeding);
    assert!(reply.contains("8:intervali1234e"), "{reply}");
    let admin = crate::people::Caller::at(&club.server).with(admin.bearer.as_ref().unwrap());
    let back = json!({ "tracker": { "announce_interval_secs": null } });
    let config = admin.patch(CONFIG, back).json();
    assert_eq!(config["tracker"]["announce_interval_secs"], 1800);
    assert_eq!(config["overrides"], json!({}));
    until(|| {
        let reply = club.server.announce(key, &hash, 6881, seeding);
        reply.contains("8:intervali1800e").then_some(())
    });
}

fn a_lower_limit_of_requests_holds_at_once(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let few = json!({ "api": { "requests_per_minute": 60 } });
    assert_eq!(admin.patch(CONFIG, few).status, 200);
    until(|| (club.anonymous().get("/api/logs/health/").status == 429).then_some(()));
}

fn wrong_settings_are_refused_and_nothing_changes(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let before = admin.get(CONFIG).json();
    for (patch, field) in [
        (
            json!({ "tracker": { "numwant_max": 0 } }),
            "tracker.numwant_max",
        ),
        (
            json!({ "tracker": { "numwant_max": "9" } }),
            "tracker.numwant_max",
        ),
        (
            json!({ "api": { "requests_per_minute": 59 } }),
            "api.requests_per_minute",
        ),
        (
            json!({ "tracker": { "numwant_max": {} } }),
            "tracker.numwant_max",
        ),
        (json!({ "tracker": { "http": ["[::]:1"] } }), "tracker.http"),
        (json!({ "tracker": { "numwant": 9 } }), "tracker.numwant"),
        (json!({ "database_url": "sqlite:x" }), "database_url"),
        (json!({ "tracker": 7 }), "tracker"),
        (
            json!({ "credits": { "multiplier": -1 } }),
            "credits.multiplier",
        ),
        // Each right by itself.
        (json!({ "tracker": { "min_interval_secs": 3600 } }), ""),
    ] {
        let answer = admin.patch(CONFIG, patch.clone());
        match answer.status {
            400 => assert_eq!(field, ""),
            _ => answer.minds(&[field]),
        }
    }
    admin.patch(CONFIG, json!([])).is_problem(422, "invalid");
    assert_eq!(admin.patch(CONFIG, json!({})).json(), before);
    let both = json!({ "tracker": { "min_interval_secs": 3600, "announce_interval_secs": 7200 } });
    assert_eq!(admin.patch(CONFIG, both).status, 200);
    // One of the two taken back would leave the other wrong.
    let one = json!({ "tracker": { "announce_interval_secs": null } });
    admin.patch(CONFIG, one).is_problem(422, "invalid");
}

fn who_may_not_configure_is_refused(database: Database) {
    let club = Club::open(database);
    let (ann, staff) = (club.member("ann"), club.staff("sam"));
    for who in [&ann, &staff] {
        who.patch(CONFIG, json!({})).is_problem(403, "forbidden");
        who.post(REPORT, json!({})).is_problem(403, "forbidden");
    }
    let anonymous = club.anonymous();
    anonymous
        .patch(CONFIG, json!({}))
        .is_problem(401, "unauthenticated");
    anonymous
        .post(REPORT, json!({}))
        .is_problem(401, "unauthenticated");
}

fn a_report_counts_what_happened_between_two_moments(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    club.site.add_torrent();
    let path = format!("/api/admin/users/{}/credits/", ann.id());
    for amount_milli in [5_000, 7_000, -1_000] {
        let body = json!({ "amount_milli": amount_milli, "reason": "x" });
        assert_eq!(admin.post(&path, body).status, 201);
    }
    let report = |body: Value| {
        let answer = admin.post(REPORT, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let _: Vec<(i64,)> = club
        .site
        .rows("update users set created_at = 1000 where username_key = 'ann' returning id");
    let far = json!({ "from": "1970-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z" });
    let all = report(far);
    assert_eq!(all["members_joined"], 2);
    assert_eq!(all["torrents_added"], 1);
    assert!(all["bytes_added"].as_u64() > Some(0));
    assert_eq!(all["snatches"], 0);
    assert_eq!(
        all["credits"],
        json!([
            { "kind": "grant", "entries": 2, "amount_milli": 12_000 },
            { "kind": "penalty", "entries": 1, "amount_milli": -1_000 },
        ])
    );
    assert_eq!(all["actions"]["user.credits"], 3);
    let first = json!({ "from": "1970-01-01T00:16:40Z", "to": "1970-01-01T00:16:41Z" });
    let first = report(first);
    assert_eq!(
        (&first["members_joined"], &first["torrents_added"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(first["credits"], json!([]));
    let before = json!({ "from": "1970-01-01T00:16:39Z", "to": "1970-01-01T00:16:40Z" });
    assert_eq!(report(before)["members_joined"], 0);
    let backward = json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
    admin.post(REPORT, backward).minds(&["from"]);
}
