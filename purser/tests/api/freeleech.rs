//! Freeleech tokens that members hold, and use later.

use serde_json::{Value, json};

use crate::people::{Answer, Caller, Club};
use crate::shop::{buy, rich};
use crate::site::{Database, until};

on_both_databases!(
    a_token_is_held_and_used_later,
    wrong_uses_are_refused_and_the_token_stays,
    of_uses_at_once_one_succeeds_and_a_key_repeats_it,
    tokens_last_as_long_as_the_class_has_it,
);

const TOKENS: &str = "/api/credits/tokens/";
const DAY: i64 = 86_400;

/// The number of a token that they hold now.
fn hold(who: &Caller) -> i64 {
    let bought = buy(who, "freeleech-token", json!({}));
    assert_eq!(bought.status, 201, "{bought:?}");
    let receipt = bought.json();
    assert_eq!(receipt["ends_at"], Value::Null);
    receipt["token"]["id"].as_i64().unwrap()
}

fn use_token(who: &Caller, token: i64, hash: &str) -> Answer {
    who.post(&format!("{TOKENS}{token}/"), json!({ "info_hash": hash }))
}

fn a_token_is_held_and_used_later(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 1_000_000);
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let plain = hash.replace('%', "");
    let token = hold(&ann);
    let listed = ann.all(TOKENS);
    assert_eq!(listed.len(), 1);
    let held = &listed[0];
    assert_eq!((&held["id"], &held["hours"]), (&json!(token), &json!(72)));
    for unused in ["info_hash", "starts_at", "ends_at"] {
        assert_eq!(held[unused], Value::Null, "{held}");
    }
    let used = use_token(&ann, token, &plain);
    assert_eq!(used.status, 200, "{used:?}");
    let used = used.json();
    assert_eq!(used["info_hash"], plain);
    assert!(used["starts_at"].as_str().unwrap() < used["ends_at"].as_str().unwrap());
    assert_eq!(ann.all(TOKENS), [used]);
    let announce = |rest: &str| club.server.announce_when_known(key, &hash, 6881, rest);
    announce("uploaded=0&downloaded=0&left=100&event=started");
    announce("uploaded=20&downloaded=60&left=40");
    let stats = until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["downloaded"] == 60).then_some(stats)
    });
    assert_eq!(stats["credited_downloaded"], 0);
}

fn wrong_uses_are_refused_and_the_token_stays(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (rich(&club, "ann", 3_000_000), club.member("bob"));
    let hash = club.site.add_torrent().replace('%', "");
    let (token, other) = (hold(&ann), hold(&ann));
    let anonymous = club.anonymous();
    anonymous.get(TOKENS).is_problem(401, "unauthenticated");
    use_token(&anonymous, token, &hash).is_problem(401, "unauthenticated");
    use_token(&ann.bot(&["read"]), token, &hash).is_problem(403, "forbidden");
    // Whoever they are, it isn't theirs.
    for who in [&bob, &club.staff("sam"), &club.admin()] {
        use_token(who, token, &hash).is_problem(404, "not-found");
        assert_eq!(who.all(TOKENS).len(), 0);
    }
    use_token(&ann, 999_999, &hash).is_problem(404, "not-found");
    for path in ["x", "1.5", "9223372036854775808"] {
        ann.post(&format!("{TOKENS}{path}/"), json!({ "info_hash": hash }))
            .is_problem(404, "not-found");
    }
    for wrong in ["", "x", "\u{0}", &"0".repeat(40)] {
        use_token(&ann, token, wrong).minds(&["info_hash"]);
    }
    ann.post(&format!("{TOKENS}{token}/"), json!({}))
        .minds(&["info_hash"]);
    ann.get(&format!("{TOKENS}?limit=0")).minds(&["limit"]);
    assert!(
        ann.all(TOKENS)
            .iter()
            .all(|token| token["starts_at"].is_null())
    );

    assert_eq!(use_token(&ann, token, &hash).status, 200);
    let used = use_token(&ann, token, &hash).is_problem(409, "conflict");
    assert_eq!(used["detail"], "this token is used already");
    let free = use_token(&ann, other, &hash).is_problem(409, "conflict");
    assert_eq!(
        free["detail"],
        "a token of yours for this torrent hasn't ended yet"
    );
    let _: Vec<(i64,)> = club
        .site
        .rows("update bought_tokens set expires_at = 1 where starts_at is null returning id");
    let expired = use_token(&ann, other, &hash).is_problem(409, "conflict");
    assert_eq!(expired["detail"], "this token has expired");
}

fn of_uses_at_once_one_succeeds_and_a_key_repeats_it(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 5_000_000);
    let hash = club.site.add_torrent().replace('%', "");
    let token = hold(&ann);
    let done: usize = std::thread::scope(|scope| {
        let uses: Vec<_> = (0..6)
            .map(|_| {
                let (ann, hash) = (&ann, &hash);
                scope.spawn(move || use_token(ann, token, hash))
            })
            .collect();
        let answers = uses.into_iter().map(|used| used.join().unwrap());
        answers
            .filter(|answer| match answer.status {
                200 => true,
                status => {
                    assert_eq!(status, 409, "{answer:?}");
                    false
                }
            })
            .count()
    });
    assert_eq!(done, 1);
    let token = hold(&ann);
    // As if the first had ended.
    let _: Vec<(i64,)> = club
        .site
        .rows("update freeleech_tokens set starts_at = 0, ends_at = 1 returning user_id");
    let body = json!({ "info_hash": hash }).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let path = format!("{TOKENS}{token}/");
    let ask = || ann.call("POST", &path, &headers, body.clone().into_bytes());
    let (first, again) = (ask(), ask());
    assert_eq!((first.status, again.status), (200, 200), "{again:?}");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.text, again.text);
}

fn tokens_last_as_long_as_the_class_has_it(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 5_000_000);
    for (class, days) in [
        ("newbie", Some(30)),
        ("trusted", Some(180)),
        ("elite", None),
    ] {
        let _: Vec<(i64,)> = club.site.rows(&format!(
            "update users set class = '{class}' where username = 'ann' returning id"
        ));
        let token = hold(&ann);
        let lasts: Vec<(Option<i64>,)> = club.site.rows(&format!(
            "select expires_at - bought_at from bought_tokens where id = {token}"
        ));
        assert_eq!(lasts[0].0, days.map(|days: i64| days * DAY), "{class}");
        let listed = ann.all(TOKENS);
        assert_eq!(listed[0]["expires_at"].is_string(), days.is_some());
    }
}
