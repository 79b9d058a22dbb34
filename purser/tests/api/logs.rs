//! What staff and admins see of the site.

use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::site::{Database, until};

on_both_databases!(
    staff_and_admins_look_and_others_do_not,
    the_system_log_says_who_did_what,
    the_dashboard_counts_what_there_is,
    sums_beyond_64_bits_stop,
    security_stats_count_what_was_shut_out,
    announces_of_a_member_are_listed,
    an_admin_reads_the_configuration_in_effect,
);

const OF_STAFF: [&str; 5] = [
    "/api/logs/system-logs/",
    "/api/logs/dashboard/",
    "/api/security/stats/",
    "/api/security/suspicious-activities/",
    "/api/security/announce-logs/?user=1",
];

const OF_ADMINS: [&str; 2] = ["/api/admin/dashboard/", "/api/admin/system-config/"];

fn staff_and_admins_look_and_others_do_not(database: Database) {
    let club = Club::open(database);
    let (ann, staff, admin) = (club.member("ann"), club.staff("sam"), club.admin());
    for path in OF_STAFF.into_iter().chain(OF_ADMINS) {
        club.anonymous()
            .get(path)
            .is_problem(401, "unauthenticated");
        ann.get(path).is_problem(403, "forbidden");
        assert_eq!(admin.get(path).status, 200, "{path}");
    }
    for path in OF_STAFF {
        assert_eq!(staff.get(path).status, 200, "{path}");
    }
    for path in OF_ADMINS {
        staff.get(path).is_problem(403, "forbidden");
    }
    assert_eq!(
        staff.get("/api/security/suspicious-activities/").json(),
        json!({ "results": [], "next": null })
    );
    staff
        .get("/api/security/suspicious-activities/?limit=0")
        .minds(&["limit"]);
}

fn the_system_log_says_who_did_what(database: Database) {
    let club = Club::open(database);
    let (ann, staff, admin) = (club.member("ann"), club.staff("sam"), club.admin());
    let user = format!("/api/admin/users/{}/", ann.id());
    for invites in [1, 2] {
        assert_eq!(
            admin.patch(&user, json!({ "invites": invites })).status,
            200
        );
    }
    let grant = json!({ "amount_milli": 700, "reason": "thanks" });
    assert_eq!(admin.post(&format!("{user}credits/"), grant).status, 201);
    let _: Vec<(i64,)> = club.site.rows(
        "insert into audit_entries (actor_id, action, subject, detail, created_at)
         values (null, 'site.test', 'site', 'by the operator', 1) returning id",
    );
    let log = staff.all("/api/logs/system-logs/?limit=2");
    let actions: Vec<_> = log.iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(
        actions,
        ["site.test", "user.credits", "user.change", "user.change"]
    );
    let actors: Vec<_> = log.iter().map(|entry| entry["actor"].clone()).collect();
    assert_eq!(
        actors,
        [Value::Null, json!("admin"), json!("admin"), json!("admin")]
    );
    assert_eq!(log[0]["created_at"], "1970-01-01T00:00:01Z");
    assert_eq!(log[1]["subject"], format!("user:{}", ann.id()));
    assert!(log[1]["detail"].as_str().unwrap().contains("thanks"));
    assert_eq!(log[2]["detail"], "invites: 1 to 2");
}

/// A member who seeds and one who downloads.
fn two_in_a_swarm(club: &Club) -> (Caller, Caller, String) {
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    let hash = club.site.add_torrent();
    for (who, port, left) in [(&ann, 6881, 0), (&bob, 6882, 9)] {
        let made = who.post("/api/user/tokens/", json!({})).json();
        let key = made["token"].as_str().unwrap();
        let announce = |rest: &str| {
            let reply = club.server.announce_when_known(key, &hash, port, rest);
            assert!(reply.contains("8:interval"), "{reply}");
        };
        announce(&format!(
            "uploaded=0&downloaded=0&left={left}&event=started"
        ));
        announce(&format!("uploaded=700&downloaded=30&left={left}"));
    }
    let plain = hash.replace('%', "");
    (ann, bob, plain)
}

fn the_dashboard_counts_what_there_is(database: Database) {
    // It asks again and again, until what is kept is too old.
    let club = Club::open_with(database, &[("PURSER__API__REQUESTS_PER_MINUTE", "0")]);
    let admin = club.admin();
    let (_, bob, _) = two_in_a_swarm(&club);
    let seen = until(|| {
        let seen = admin.get("/api/admin/dashboard/").json();
        (seen["downloaded"] == 60).then_some(seen)
    });
    assert_eq!(seen["uploaded"], 1400);
    assert_eq!(seen["members"], json!({ "active": 3, "disabled": 0 }));
    assert_eq!(
        seen["torrents"],
        json!({ "open": 1, "pending": 0, "closed": 0 })
    );
    assert_eq!(
        seen["sessions"],
        json!({ "seeding": 1, "leeching": 1, "partial": 0, "seen_last_hour": 2 })
    );
    let before = seen["newest_change"]["id"].as_i64().unwrap();
    let path = format!("/api/admin/users/{}/", bob.id());
    assert_eq!(
        admin.patch(&path, json!({ "status": "disabled" })).status,
        200
    );
    let _: Vec<(i64,)> = club
        .site
        .rows("update torrents set deleted_at = 1 returning id");
    let seen = until(|| {
        let seen = admin.get("/api/logs/dashboard/").json();
        (seen["torrents"]["open"] == 0).then_some(seen)
    });
    assert_eq!(seen["members"], json!({ "active": 2, "disabled": 1 }));
    assert_eq!(seen["newest_change"]["id"], before + 1);
}

fn sums_beyond_64_bits_stop(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    club.member("ann");
    let _: Vec<(i64,)> = club.site.rows(
        "update users set uploaded = 9223372036854775807, downloaded = 4294967297 returning id",
    );
    let seen = admin.get("/api/admin/dashboard/").json();
    assert_eq!(seen["uploaded"], 9_223_372_036_854_775_807_u64);
    assert_eq!(seen["downloaded"], 2 * 4_294_967_297_u64);
}

fn security_stats_count_what_was_shut_out(database: Database) {
    // It asks again and again, until what is kept is too old.
    let club = Club::open_with(database, &[("PURSER__API__REQUESTS_PER_MINUTE", "0")]);
    let (ann, admin) = (club.member("ann"), club.admin());
    let stats = || admin.get("/api/security/stats/").json();
    let nothing =
        json!({ "disabled_members": 0, "revoked_tokens": 0, "revoked_logins": 0, "set_aside": 0 });
    assert_eq!(stats(), nothing);
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let token = format!("/api/user/tokens/{}/", made["id"]);
    assert_eq!(ann.delete(&token).status, 204);
    let path = format!("/api/admin/users/{}/", ann.id());
    assert_eq!(
        admin.patch(&path, json!({ "status": "disabled" })).status,
        200
    );
    let bytes = match database {
        Database::Sqlite => "blob",
        Database::Postgres => "bytea",
    };
    let _: Vec<(i64,)> = club.site.rows(&format!(
        "insert into set_aside (journal, position_from, position_to, user_id, torrent_id, peer_id, uploaded, downloaded,
            bytes_left, announced_at, reason, created_at)
         values ('here', 0, 1, 1, 1, cast('aaaaaaaaaaaaaaaaaaaa' as {bytes}), 0, 0, 0, 1, 'test', 1)
         returning torrent_id"
    ));
    let all =
        json!({ "disabled_members": 1, "revoked_tokens": 1, "revoked_logins": 1, "set_aside": 1 });
    until(|| (stats() == all).then_some(()));
}

fn announces_of_a_member_are_listed(database: Database) {
    let club = Club::open(database);
    let staff = club.staff("sam");
    let (ann, bob, hash) = two_in_a_swarm(&club);
    let of = |who: &Caller| format!("/api/security/announce-logs/?user={}", who.id());
    let path = of(&bob);
    let listed = until(|| {
        let listed = staff.get(&path).json()["results"].clone();
        (listed[0]["uploaded"] == 700).then_some(listed)
    });
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let session = &listed[0];
    assert_eq!(session["info_hash"], hash);
    assert_eq!(session["peer_id"], hex::encode("-XX0001-000000006882"));
    assert_eq!(
        (&session["role"], &session["active"]),
        (&json!("leecher"), &json!(true))
    );
    assert_eq!(
        (&session["left"], &session["credited_downloaded"]),
        (&json!(9), &json!(30))
    );
    let endpoints = [&session["endpoint4"], &session["endpoint6"]];
    let ours = ["127.0.0.1:6882", "[::1]:6882"];
    assert!(
        endpoints.iter().any(|at| ours.iter().any(|our| at == our)),
        "{session}"
    );

    // Many of one member's, some at the same second: each once, the latest first.
    let id = ann.id();
    for (torrent, peer, at) in [
        (1, "a", 50),
        (1, "b", 50),
        (2, "b", 50),
        (1, "c", 60),
        (1, "d", 40),
    ] {
        let peer_id = match database {
            Database::Sqlite => format!("cast('{}' as blob)", peer.repeat(20)),
            Database::Postgres => format!("cast('{}' as bytea)", peer.repeat(20)),
        };
        let _: Vec<(i64,)> = club.site.rows(&format!(
            "insert into sessions (user_id, torrent_id, peer_id, uploaded, downloaded, written_by, credited_uploaded,
                credited_downloaded, bytes_left, role, started_at, announced_at, active)
             values ({id}, {torrent}, {peer_id}, 0, 0, 1, 0, 0, 0, 'seeder', 1, {at}, false) returning torrent_id"
        ));
    }
    // Her own client first: it has announced just now, and the ledger may still be at it.
    let rows = until(|| {
        let rows = staff.all(&format!("{}&limit=1", of(&ann)));
        let peers = rows
            .iter()
            .map(|row| &row["peer_id"].as_str().unwrap()[38..]);
        let is_so = peers.eq(["31", "63", "62", "62", "61", "64"]);
        is_so.then_some(rows)
    });
    assert_eq!(rows[2]["info_hash"], Value::Null);
    for wrong in [
        "",
        "?user=x",
        "?user=-1",
        "?user=1&limit=0",
        "?user=1&cursor=x",
    ] {
        staff
            .get(&format!("/api/security/announce-logs/{wrong}"))
            .is_problem(422, "invalid");
    }
}

fn an_admin_reads_the_configuration_in_effect(database: Database) {
    let secret = "4".repeat(64);
    let env = [
        ("PURSER__CREDITS__MIN_RATIO_WARNING", "0.25"),
        ("PURSER__TOKEN_KEY", secret.as_str()),
    ];
    let club = Club::open_with(database, &env);
    let answer = club.admin().get("/api/admin/system-config/");
    let mut config = answer.json();
    assert_eq!(config["credits"]["min_ratio_warning"], 0.25);
    assert!(!answer.text.contains(&secret), "{config}");
    let output = club
        .site
        .program("--json config show")
        .envs(env)
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let overrides = config.as_object_mut().unwrap().remove("overrides");
    assert_eq!(overrides, Some(json!({})));
    assert_eq!(config, shown);
}
