//! A POST that is sent again, because its answer was lost.

use serde_json::{Value, json};

use crate::people::{Answer, Caller, Club};
use crate::site::Database;

on_both_databases!(
    the_same_request_is_done_once,
    of_many_at_once_one_is_done,
    a_key_belongs_to_one_request_of_one_member,
    what_was_refused_may_be_sent_again,
    an_answer_is_nobodys_who_may_not_ask,
    what_was_interrupted_may_be_sent_again_after_a_while,
);

fn post(caller: &Caller, key: &str, body: &Value) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let body = body.to_string().into_bytes();
    caller.call("POST", "/api/user/tokens/", &headers, body)
}

fn tokens(caller: &Caller) -> usize {
    let list = caller.get("/api/user/tokens/").json();
    list["results"].as_array().unwrap().len()
}

fn the_same_request_is_done_once(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let body = json!({ "label": "seedbox" });
    let first = post(&ann, "key-1", &body);
    let again = post(&ann, "key-1", &body);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(tokens(&ann), 1);
    assert_eq!(post(&ann, "key-2", &body).status, 201);
    assert_eq!(tokens(&ann), 2);
    // The token is in the answer, and not to be read in the database.
    let token = first.json()["token"].as_str().unwrap().to_owned();
    let kept: Vec<(Vec<u8>,)> = club.site.rows("select answer from idempotency_keys");
    for (answer,) in kept {
        assert!(!String::from_utf8_lossy(&answer).contains(&token));
    }
}

fn of_many_at_once_one_is_done(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let body = json!({ "label": "seedbox" });
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| post(&ann, "key-1", &body).status))
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert!(
        statuses.iter().all(|status| [201, 409].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&201));
    assert_eq!(tokens(&ann), 1);
}

fn a_key_belongs_to_one_request_of_one_member(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    assert_eq!(post(&ann, "key-1", &json!({ "label": "a" })).status, 201);
    post(&ann, "key-1", &json!({ "label": "b" })).is_problem(422, "idempotency-key-reused");
    assert_eq!(post(&bob, "key-1", &json!({ "label": "a" })).status, 201);
    post(&ann, "", &json!({})).is_problem(400, "malformed");
    post(&ann, &"x".repeat(256), &json!({})).is_problem(400, "malformed");
    post(&ann, "a\tb", &json!({})).is_problem(400, "malformed");
    post(&club.anonymous(), "key-1", &json!({})).is_problem(401, "unauthenticated");
}

fn what_was_refused_may_be_sent_again(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    post(&ann, "key-1", &json!({ "expires_in": 0 })).minds(&["expires_in"]);
    assert_eq!(
        post(&ann, "key-1", &json!({ "expires_in": 60 })).status,
        201
    );
}

fn an_answer_is_nobodys_who_may_not_ask(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let ask = |caller: &Caller, scopes: &[&str]| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", "1"),
        ];
        let body = json!({ "label": "bot", "scopes": scopes }).to_string();
        caller.call("POST", "/api/user/api-keys/", &headers, body.into_bytes())
    };
    let made = ask(&ann, &["write"]);
    assert_eq!(made.status, 201);
    let bot = ann.with(made.json()["api_key"].as_str().unwrap());
    ask(&bot, &["write"]).is_problem(422, "idempotency-key-reused");
    assert_eq!(ask(&ann, &["write"]).header("idempotency-replayed"), "true");
}

fn what_was_interrupted_may_be_sent_again_after_a_while(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let body = json!({ "label": "seedbox" });
    assert_eq!(post(&ann, "key-1", &body).status, 201);
    let interrupt = |secs: u32| {
        let rows: Vec<(i64,)> = club.site.rows(&format!(
            "update idempotency_keys set status = null, answer = null, created_at = created_at - {secs} returning created_at"
        ));
        assert_eq!(rows.len(), 1);
    };
    interrupt(60);
    post(&ann, "key-1", &body).is_problem(409, "conflict");
    interrupt(61);
    post(&ann, "key-1", &json!({})).is_problem(422, "idempotency-key-reused");
    let again = post(&ann, "key-1", &body);
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "")
    );
    assert_eq!(post(&ann, "key-1", &body).text, again.text);
}
