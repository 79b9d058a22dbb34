//! Announce tokens and API keys: what a member gives to their clients and bots.

use serde_json::json;

use crate::people::Club;
use crate::site::{Database, until};

on_both_databases!(
    a_token_made_here_announces_and_revoked_no_longer,
    a_token_for_one_torrent_opens_no_other,
    wrong_token_requests_are_refused,
    tokens_come_in_pages,
    an_api_key_does_what_its_scopes_say,
    nobody_touches_what_is_anothers,
    at_once_or_one_by_one_a_member_has_so_many_and_no_more,
);

fn a_token_made_here_announces_and_revoked_no_longer(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let hash = club.site.add_torrent();
    let made = ann.post(
        "/api/user/tokens/",
        json!({ "label": "seedbox", "expires_in": 3600 }),
    );
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let url = made["announce_url"].as_str().unwrap();
    let key = made["token"].as_str().unwrap();
    assert!(url.ends_with(&format!("/announce/{key}")), "{url}");
    assert!(made["expires_at"].is_string());
    let reply = club.server.announce_when_known(
        key,
        &hash,
        6881,
        "uploaded=0&downloaded=0&left=0&event=started",
    );
    assert!(reply.contains("8:interval"), "{reply}");

    let list = ann.get("/api/user/tokens/").json();
    assert_eq!(list["results"][0]["label"], "seedbox");
    assert!(list["results"][0].get("token").is_none());
    until(|| (ann.get("/api/user/stats/").json()["seeding"] == 1).then_some(()));

    let path = format!("/api/user/tokens/{}/", made["id"]);
    assert_eq!(ann.delete(&path).status, 204);
    until(|| {
        let reply = club
            .server
            .announce(key, &hash, 6881, "uploaded=0&downloaded=0&left=0");
        reply.contains("revoked").then_some(())
    });
    assert_eq!(ann.get("/api/user/tokens/").json()["results"], json!([]));
}

fn a_token_for_one_torrent_opens_no_other(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let hash = club.site.add_torrent();
    let plain = hash.replace('%', "");
    let made = ann.post(
        "/api/user/tokens/",
        json!({ "info_hash": plain.to_uppercase() }),
    );
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["token"].as_str().unwrap().to_owned();
    let open = "uploaded=0&downloaded=0&left=0";
    let reply = club.server.announce_when_known(&key, &hash, 6881, open);
    assert!(reply.contains("8:interval"), "{reply}");
    let other = "%11".repeat(20);
    let reply = club
        .server
        .announce(&key, &other, 6881, "uploaded=0&downloaded=0&left=0");
    assert!(reply.contains("failure reason"), "{reply}");
    let listed = ann.get("/api/user/tokens/").json();
    assert_eq!(listed["results"][0]["info_hash"], plain);
}

fn wrong_token_requests_are_refused(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let ask = |body| ann.post("/api/user/tokens/", body);
    ask(json!({ "label": "x".repeat(65), "info_hash": "zz", "expires_in": 0 })).minds(&[
        "label",
        "expires_in",
        "info_hash",
    ]);
    ask(json!({ "expires_in": u32::MAX })).minds(&["expires_in"]);
    ask(json!({ "expires_in": -1 })).minds(&["expires_in"]);
    ask(json!({ "info_hash": "11".repeat(20) })).minds(&["info_hash"]);
    ask(json!({ "torrent": 1 })).minds(&["torrent"]);
    club.anonymous()
        .post("/api/user/tokens/", json!({}))
        .is_problem(401, "unauthenticated");
    let tokens: Vec<(i64,)> = club
        .site
        .rows("select count(*) from tokens where user_id > 1");
    assert_eq!(tokens, [(0,)]);
}

fn tokens_come_in_pages(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    for label in ["a", "b", "c"] {
        assert_eq!(
            ann.post("/api/user/tokens/", json!({ "label": label }))
                .status,
            201
        );
    }
    let mut labels = Vec::new();
    let mut path = "/api/user/tokens/?limit=2".to_owned();
    loop {
        let page = ann.get(&path).json();
        for token in page["results"].as_array().unwrap() {
            labels.push(token["label"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/user/tokens/?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(labels, ["a", "b", "c"]);
    ann.get("/api/user/tokens/?limit=0").minds(&["limit"]);
    ann.get("/api/user/tokens/?limit=x")
        .is_problem(422, "invalid");
    ann.get("/api/user/tokens/?cursor=made-up")
        .minds(&["cursor"]);
}

fn an_api_key_does_what_its_scopes_say(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let make = |scopes: &[&str]| {
        let made = ann.post(
            "/api/user/api-keys/",
            json!({ "label": "bot", "scopes": scopes }),
        );
        assert_eq!(made.status, 201, "{made:?}");
        made.json()
    };
    let reads = make(&["read"]);
    let reader = ann.with(reads["api_key"].as_str().unwrap());
    assert_eq!(reader.get("/api/user/profile/").json()["username"], "ann");
    reader
        .post("/api/user/tokens/", json!({}))
        .is_problem(403, "forbidden");
    let writes = make(&["write", "read"]);
    let writer = ann.with(writes["api_key"].as_str().unwrap());
    assert_eq!(writer.post("/api/user/tokens/", json!({})).status, 201);
    // What an API key may never do.
    let change = json!({ "email": "x@example.org" });
    writer
        .patch("/api/user/profile/", change)
        .is_problem(403, "forbidden");
    writer
        .post(
            "/api/user/api-keys/",
            json!({ "label": "x", "scopes": ["read"] }),
        )
        .is_problem(403, "forbidden");

    let listed = ann.get("/api/user/api-keys/").json();
    assert_eq!(listed["results"].as_array().unwrap().len(), 2);
    let path = format!("/api/user/api-keys/{}/", reads["id"]);
    assert_eq!(ann.delete(&path).status, 204);
    reader
        .get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    ann.delete(&path).is_problem(404, "not-found");
    let key = writes["api_key"].as_str().unwrap();
    let (start, _) = key.rsplit_once('_').unwrap();
    for forged in [
        format!("{start}_{}", "00".repeat(20)),
        format!("{start}_"),
        key[..key.len() - 1].into(),
    ] {
        ann.with(&forged)
            .get("/api/user/profile/")
            .is_problem(401, "unauthenticated");
    }
    ann.post("/api/user/api-keys/", json!({ "label": "x", "scopes": [] }))
        .minds(&["scopes"]);
    ann.post(
        "/api/user/api-keys/",
        json!({ "label": "x", "scopes": ["root"] }),
    )
    .minds(&["scopes[0]"]);
}

fn at_once_or_one_by_one_a_member_has_so_many_and_no_more(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let hash = club.site.add_torrent().replace('%', "");
    let key = json!({ "label": "bot", "scopes": ["read"] });
    let bound = json!({ "info_hash": hash });
    for (path, body) in [
        ("/api/user/api-keys/", key),
        ("/api/user/tokens/", json!({})),
        ("/api/user/tokens/", bound),
    ] {
        let ask = || ann.post(path, body.clone());
        (0..46).for_each(|_| assert_eq!(ask().status, 201, "{path}"));
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..12).map(|_| scope.spawn(|| ask().status)).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let made = statuses.iter().filter(|&&status| status == 201).count();
        assert_eq!(made, 4, "{path}: {statuses:?}");
        ask().is_problem(409, "conflict");
    }
    let oldest = ann.get("/api/user/tokens/?limit=1").json()["results"][0]["id"].clone();
    ann.delete(&format!("/api/user/tokens/{oldest}/"));
    assert_eq!(ann.post("/api/user/tokens/", json!({})).status, 201);
}

fn nobody_touches_what_is_anothers(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    let token = ann.post("/api/user/tokens/", json!({})).json();
    let key = ann
        .post(
            "/api/user/api-keys/",
            json!({ "label": "x", "scopes": ["read"] }),
        )
        .json();
    for path in [
        format!("/api/user/tokens/{}/", token["id"]),
        format!("/api/user/api-keys/{}/", key["id"]),
    ] {
        bob.delete(&path).is_problem(404, "not-found");
    }
    for nothing in ["999", "x", "-1", "4294967296"] {
        ann.delete(&format!("/api/user/tokens/{nothing}/"))
            .is_problem(404, "not-found");
    }
    assert_eq!(
        ann.get("/api/user/tokens/").json()["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
