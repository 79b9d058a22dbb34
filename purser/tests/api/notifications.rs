//! What members are told, and what became of their announces.

use serde_json::{Value, json};

use crate::people::{Caller, Club, PASSWORD};
use crate::site::{Database, until};

on_both_databases!(
    a_member_is_told_what_others_did_for_them,
    what_is_read_is_no_longer_new,
    a_member_sees_what_became_of_their_announces,
    nobody_sees_another_members,
);

const TOLD: &str = "/api/user/notifications/";

fn told(who: &Caller) -> Vec<(Value, Value)> {
    let rows = who.all(&format!("{TOLD}?limit=2"));
    let pair = |row: &Value| (row["kind"].clone(), row["message"].clone());
    rows.iter().map(pair).collect()
}

fn give(admin: &Caller, to: &Caller, amount_milli: i64, reason: &str) {
    let path = format!("/api/admin/users/{}/credits/", to.id());
    let body = json!({ "amount_milli": amount_milli, "reason": reason });
    assert_eq!(admin.post(&path, body).status, 201);
}

fn a_member_is_told_what_others_did_for_them(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    assert_eq!(told(&ann), []);
    give(&admin, &ann, 2_500, "for seeding");
    give(&admin, &ann, -1_000, "for leaving");
    let path = format!("/api/admin/users/{}/", ann.id());
    assert_eq!(admin.patch(&path, json!({ "invites": 1 })).status, 200);
    let code = ann.post("/api/user/invites/", json!({})).json()["code"].clone();
    let joined = club.anonymous().register("bob", code.as_str().unwrap());
    assert_eq!(joined.status, 201);
    let says = |kind: &str, message: &str| (json!(kind), json!(message));
    assert_eq!(
        told(&ann),
        [
            says("invite", "bob came by an invite code of yours"),
            says("account", "your account was changed: invites: 0 to 1"),
            says("credits", "1 credits were taken from you: for leaving"),
            says("credits", "you were given 2.5 credits: for seeding"),
        ]
    );
}

fn what_is_read_is_no_longer_new(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    for reason in ["one", "two", "three"] {
        give(&admin, &ann, 1, reason);
    }
    let rows = ann.get(TOLD).json()["results"].clone();
    assert_eq!(rows[0]["read_at"], Value::Null);
    let read = |up_to: &Value| {
        let answer = ann.post(&format!("{TOLD}read/"), json!({ "up_to": up_to }));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["marked"].clone()
    };
    assert_eq!(read(&rows[1]["id"]), 2);
    assert_eq!(read(&rows[1]["id"]), 0);
    let unread = ann.get(&format!("{TOLD}?unread=true")).json();
    assert_eq!(unread["results"], json!([rows[0]]));
    let all = ann.get(TOLD).json()["results"].clone();
    assert!(all[1]["read_at"].is_string() && all[0]["read_at"].is_null());
    assert_eq!(all.as_array().unwrap().len(), 3);
    ann.post(&format!("{TOLD}read/"), json!({}))
        .minds(&["up_to"]);
    ann.get(&format!("{TOLD}?unread=maybe")).minds(&["unread"]);
}

fn a_member_sees_what_became_of_their_announces(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let announce = |uploaded: u32, event: &str| {
        let rest = format!("uploaded={uploaded}&downloaded=0&left=0{event}");
        let reply = club.server.announce_when_known(key, &hash, 6881, &rest);
        assert!(reply.contains("8:interval"), "{reply}");
    };
    let until_decided = |decision: &str, says: &str| {
        until(|| {
            let session = ann.get("/api/user/announces/").json()["results"][0].clone();
            let is_there =
                session["decision"] == decision && session["explanation"].as_str()?.contains(says);
            is_there.then_some(session)
        })
    };
    announce(100, "&event=started");
    announce(700, "");
    let session = until_decided("counted", "knows 700 bytes up");
    assert_eq!(session["credited_uploaded"], 600);
    announce(50, "");
    let session = until_decided("fell", "reported 50 bytes up");
    assert_eq!(
        (&session["uploaded"], &session["credited_uploaded"]),
        (&json!(700), &json!(600))
    );
    announce(80, "");
    let session = until_decided("counted", "knows 80 bytes up");
    assert_eq!(session["credited_uploaded"], 600);
}

fn nobody_sees_another_members(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let bob = club.member("bob");
    give(&admin, &ann, 1, "hers");
    assert_eq!(told(&bob), []);
    let up_to = json!({ "up_to": i64::MAX });
    assert_eq!(bob.post(&format!("{TOLD}read/"), up_to).json()["marked"], 0);
    assert_eq!(bob.get("/api/user/announces/").json()["results"], json!([]));
    for path in [TOLD, "/api/user/announces/"] {
        club.anonymous()
            .get(path)
            .is_problem(401, "unauthenticated");
    }
    let ann = club.anonymous().logged_in("ann", PASSWORD);
    assert_eq!(
        ann.get(&format!("{TOLD}?unread=true")).json()["results"][0]["message"],
        "you were given 0.001 credits: hers"
    );
}
