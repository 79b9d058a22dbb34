//! Which networks and which torrent clients may announce: what admins rule, and what the tracker then does.

use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::site::{Database, until};

on_both_databases!(
    a_blocked_network_is_refused_until_it_is_let_in,
    a_block_ends_by_itself_and_makes_room,
    a_denied_client_is_refused_and_its_exception_is_not,
    a_client_is_denied_by_what_it_calls_itself,
    rules_hold_after_a_restart,
    wrong_rules_are_refused_and_nothing_is_written,
    who_may_not_rule_is_refused,
);

const BLOCKS: &str = "/api/admin/ip-blocks/";
const RULES: &str = "/api/admin/client-rules/";
const SEEDING: &str = "uploaded=0&downloaded=0&left=0";

/// A member's key, and a torrent that they announce.
fn announcing(club: &Club) -> (String, String) {
    let ann = club.member("ann");
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap().to_owned();
    let hash = club.site.add_torrent();
    let reply = club.server.announce_when_known(&key, &hash, 6881, SEEDING);
    assert!(reply.contains("8:interval"), "{reply}");
    (key, hash)
}

fn until_refused(club: &Club, (key, hash): &(String, String), why: &str) {
    until(|| {
        let reply = club.server.announce(key, hash, 6881, SEEDING);
        reply.contains(why).then_some(())
    });
}

fn until_answered(club: &Club, (key, hash): &(String, String)) {
    until(|| {
        let reply = club.server.announce(key, hash, 6881, SEEDING);
        reply.contains("8:interval").then_some(())
    });
}

fn made(admin: &Caller, path: &str, body: Value) -> Value {
    let answer = admin.post(path, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn delete(admin: &Caller, path: &str, row: &Value) {
    let one = format!("{path}{}/", row["id"]);
    assert_eq!(admin.delete(&one).status, 204);
    admin.delete(&one).is_problem(404, "not-found");
}

fn a_blocked_network_is_refused_until_it_is_let_in(database: Database) {
    let club = Club::open(database);
    let (admin, staff) = (club.admin(), club.staff("sam"));
    let announcing = announcing(&club);
    let block = |cidr: &str| made(&admin, BLOCKS, json!({ "cidr": cidr, "reason": "a test" }));
    let far = block("2001:db8::/32");
    let v4 = block("127.9.9.9/8");
    let v6 = block("::1");
    assert_eq!(v4["cidr"], "127.0.0.0/8");
    assert_eq!(
        (&v6["cidr"], &v6["expires_at"]),
        (&json!("::1/128"), &Value::Null)
    );
    until_refused(&club, &announcing, "your address is blocked");
    assert_eq!(
        staff.all(&format!("{BLOCKS}?limit=2")),
        [v6.clone(), v4.clone(), far]
    );
    admin
        .post(
            BLOCKS,
            json!({ "cidr": "::ffff:127.0.0.0/104", "reason": "again" }),
        )
        .is_problem(409, "taken");
    delete(&admin, BLOCKS, &v4);
    delete(&admin, BLOCKS, &v6);
    until_answered(&club, &announcing);
    let log = staff.all("/api/logs/system-logs/?");
    assert_eq!(log[0]["action"], "ip_block.delete");
    assert_eq!(log[2]["detail"], "::1/128: a test");
}

fn a_block_ends_by_itself_and_makes_room(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let body =
        json!({ "cidr": "192.0.2.7", "reason": "a while", "expires_at": "2099-01-01T00:00:00Z" });
    let block = made(&admin, BLOCKS, body.clone());
    assert_eq!(block["expires_at"], "2099-01-01T00:00:00Z");
    admin.post(BLOCKS, body.clone()).is_problem(409, "taken");
    let _: Vec<(i64,)> = club
        .site
        .rows("update ip_blocks set expires_at = 1 returning id");
    let again = made(&admin, BLOCKS, body);
    assert_eq!(admin.get(BLOCKS).json()["results"], json!([again]));
}

fn a_denied_client_is_refused_and_its_exception_is_not(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let announcing = announcing(&club);
    let rule = |prefix: &str, action: &str, reason: &str| {
        made(
            &admin,
            RULES,
            json!({ "peer_id_prefix": prefix, "action": action, "reason": reason }),
        )
    };
    let all = rule("", "deny", "known clients only");
    until_refused(&club, &announcing, "this torrent client is not allowed");
    let ours = rule("-XX", "allow", "ours");
    until_answered(&club, &announcing);
    rule("-XX0001-", "deny", "but not this one");
    until_refused(&club, &announcing, "this torrent client is not allowed");
    admin
        .post(
            RULES,
            json!({ "peer_id_prefix": "-XX", "action": "deny", "reason": "twice" }),
        )
        .is_problem(409, "taken");
    let listed = admin.all(&format!("{RULES}?limit=1"));
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[1..], [ours, all]);
    for row in &listed {
        delete(&admin, RULES, row);
    }
    until_answered(&club, &announcing);
}

/// The test's clients send no User-Agent, or one of their own.
fn a_client_is_denied_by_what_it_calls_itself(database: Database) {
    let club = Club::open(database);
    let (key, hash) = announcing(&club);
    let body = json!({ "user_agent": "BadTorrent/", "action": "deny", "reason": "a test" });
    made(&club.admin(), RULES, body);
    let url = club.server.banner["announce"].as_str().unwrap();
    let authority = url.split('/').nth(2).unwrap();
    let announce = |agent: &str| {
        let url = format!(
            "http://{authority}/announce/{key}?info_hash={hash}&peer_id=-XX0001-000000006881&port=6881&{SEEDING}"
        );
        let mut reply = ureq::get(url).header("user-agent", agent).call().unwrap();
        reply
            .body_mut()
            .read_to_vec()
            .unwrap()
            .escape_ascii()
            .to_string()
    };
    until(|| {
        announce("BadTorrent/1.0")
            .contains("is not allowed")
            .then_some(())
    });
    assert!(announce("GoodTorrent/1.0").contains("8:interval"));
    assert!(
        club.server
            .announce(&key, &hash, 6881, SEEDING)
            .contains("8:interval")
    );
}

fn rules_hold_after_a_restart(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let announcing = announcing(&club);
    made(
        &admin,
        BLOCKS,
        json!({ "cidr": "0.0.0.0/0", "reason": "closed" }),
    );
    made(
        &admin,
        BLOCKS,
        json!({ "cidr": "::/0", "reason": "closed" }),
    );
    let Club { site, server } = club;
    drop(server);
    let club = Club {
        server: site.start("serve"),
        site,
    };
    let reply = club
        .server
        .announce(&announcing.0, &announcing.1, 6881, SEEDING);
    assert!(reply.contains("your address is blocked"), "{reply}");
}

fn wrong_rules_are_refused_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let block = |body| admin.post(BLOCKS, body);
    for cidr in [
        "",
        "localhost",
        "192.0.2.0/33",
        "192.0.2",
        "::/129",
        "1.2.3.4/-1",
    ] {
        block(json!({ "cidr": cidr, "reason": "x" })).minds(&["cidr"]);
    }
    block(json!({ "cidr": "x", "reason": " ", "expires_at": "2001-01-01T00:00:00Z" })).minds(&[
        "cidr",
        "reason",
        "expires_at",
    ]);
    for time in ["tomorrow", "9999-01-01T00:00:00Z", "1901-01-01T00:00:00Z"] {
        block(json!({ "cidr": "::1", "reason": "x", "expires_at": time })).minds(&["expires_at"]);
    }
    let rule = |body| admin.post(RULES, body);
    rule(json!({ "action": "deny", "reason": "x" })).minds(&["peer_id_prefix"]);
    rule(json!({ "peer_id_prefix": "-".repeat(21), "action": "deny", "reason": "x" }))
        .minds(&["peer_id_prefix"]);
    rule(json!({ "user_agent": "\u{fc}", "action": "deny", "reason": "x" })).minds(&["user_agent"]);
    rule(json!({ "peer_id_prefix": "-UT", "action": "ban", "reason": "x" })).minds(&["action"]);
    rule(json!({ "peer_id_prefix": "-UT", "action": "deny", "reason": "\n" })).minds(&["reason"]);
    for path in [BLOCKS, RULES] {
        assert_eq!(admin.get(path).json()["results"], json!([]));
        for nothing in ["7", "x", "99999999999999999999"] {
            admin
                .delete(&format!("{path}{nothing}/"))
                .is_problem(404, "not-found");
        }
    }
}

fn who_may_not_rule_is_refused(database: Database) {
    let club = Club::open(database);
    let (ann, staff) = (club.member("ann"), club.staff("sam"));
    for (path, body) in [
        (BLOCKS, json!({ "cidr": "::1", "reason": "x" })),
        (
            RULES,
            json!({ "peer_id_prefix": "", "action": "deny", "reason": "x" }),
        ),
    ] {
        let anonymous = club.anonymous();
        anonymous.get(path).is_problem(401, "unauthenticated");
        anonymous
            .post(path, body.clone())
            .is_problem(401, "unauthenticated");
        ann.get(path).is_problem(403, "forbidden");
        ann.post(path, body.clone()).is_problem(403, "forbidden");
        assert_eq!(staff.get(path).status, 200);
        staff.post(path, body).is_problem(403, "forbidden");
        staff
            .delete(&format!("{path}1/"))
            .is_problem(403, "forbidden");
    }
}
