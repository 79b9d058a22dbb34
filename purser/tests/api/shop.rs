//! What credits buy, and what members give each other.

use serde_json::{Value, json};

use crate::people::{Answer, Caller, Club};
use crate::site::{Database, until};

on_both_databases!(
    the_shop_says_what_there_is_and_what_one_can_pay,
    what_is_bought_is_paid_and_there,
    a_token_leaves_a_torrents_downloads_uncounted,
    wrong_purchases_are_refused_and_nothing_is_paid,
    money_for_one_buys_one,
    a_purchase_with_a_key_is_done_once,
    a_gift_is_given_and_told,
    wrong_gifts_are_refused_and_nothing_is_given,
    gifts_in_a_ring_conserve_the_sum,
);

const SHOP: &str = "/api/credits/shop/";
const GIFTS: &str = "/api/credits/gifts/";

/// A member who has that.
pub(crate) fn rich(club: &Club, name: &str, milli: i64) -> Caller {
    let member = club.member(name);
    let path = format!("/api/admin/users/{}/credits/", member.id());
    let body = json!({ "amount_milli": milli, "reason": "to begin with" });
    let granted = club.admin().post(&path, body);
    assert_eq!(granted.status, 201, "{granted:?}");
    member
}

pub(crate) fn buy(who: &Caller, item: &str, body: Value) -> Answer {
    who.post(&format!("{SHOP}{item}/"), body)
}

fn balance(who: &Caller) -> i64 {
    let balance = who.get("/api/credits/balance/").json();
    balance["credits_milli"].as_i64().unwrap()
}

fn the_shop_says_what_there_is_and_what_one_can_pay(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 1_000_000);
    let shop = ann.get(SHOP).json();
    assert_eq!(shop["next"], Value::Null);
    let items = shop["results"].as_array().unwrap();
    assert_eq!(
        items[0],
        json!({
            "id": "upload-10-gib", "name": "10 GiB of upload", "what": "upload_credit", "price_milli": 200_000,
            "bytes": 10_u64 << 30, "hours": null, "needs_info_hash": false, "affordable": true,
        })
    );
    let shown: Vec<_> = items
        .iter()
        .map(|item| {
            let what = item["what"].as_str().unwrap();
            (what, &item["needs_info_hash"], &item["affordable"])
        })
        .collect();
    let (yes, no) = (&json!(true), &json!(false));
    assert_eq!(
        shown,
        [
            ("upload_credit", no, yes),
            ("upload_credit", no, no),
            ("freeleech_token", no, yes),
            ("settle_hit_and_run", yes, no),
            ("invite", no, no),
        ]
    );
    assert_eq!(items[2]["hours"], 72);
    club.anonymous()
        .get(SHOP)
        .is_problem(401, "unauthenticated");
}

fn what_is_bought_is_paid_and_there(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 4_200_000);
    let invite = buy(&ann, "invite", json!({}));
    assert_eq!(invite.status, 201, "{invite:?}");
    let upload = buy(&ann, "upload-10-gib", json!({ "info_hash": null }));
    assert_eq!(upload.status, 201, "{upload:?}");
    let (invite, upload) = (invite.json(), upload.json());
    assert_eq!(
        (&invite["what"], &invite["bytes"]),
        (&json!("invite"), &Value::Null)
    );
    assert_eq!(
        (&upload["what"], &upload["bytes"], &upload["ends_at"]),
        (&json!("upload_credit"), &json!(10_u64 << 30), &Value::Null)
    );
    let paid = &upload["transaction"];
    assert_eq!(
        (&paid["kind"], &paid["note"]),
        (&json!("purchase"), &json!("10 GiB of upload"))
    );
    assert_eq!(
        (&paid["amount_milli"], &paid["balance_milli"]),
        (&json!(-200_000), &json!(0))
    );
    let listed = ann.get("/api/credits/transactions/").json();
    assert_eq!(listed["results"][0], *paid);
    assert_eq!(listed["results"][1], invite["transaction"]);
    let stats = ann.get("/api/user/stats/").json();
    assert_eq!(stats["credits_milli"], 0);
    assert_eq!(stats["credited_uploaded"], 10_u64 << 30);
    assert_eq!(stats["uploaded"], 0);
    assert_eq!(ann.get("/api/user/profile/").json()["invites"], 1);
    let code = ann.post("/api/user/invites/", json!({}));
    assert_eq!(code.status, 201, "{code:?}");
}

fn a_token_leaves_a_torrents_downloads_uncounted(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 2_000_000);
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let plain = hash.replace('%', "");
    let bought = buy(&ann, "freeleech-token", json!({ "info_hash": plain }));
    assert_eq!(bought.status, 201, "{bought:?}");
    let receipt = bought.json();
    assert_eq!(receipt["transaction"]["info_hash"], plain);
    assert!(
        receipt["ends_at"].as_str().unwrap()
            > receipt["transaction"]["created_at"].as_str().unwrap()
    );
    let token = &receipt["token"];
    assert_eq!(
        (&token["info_hash"], &token["hours"]),
        (&json!(plain), &json!(72))
    );
    assert_eq!(token["ends_at"], receipt["ends_at"]);
    // Another for the same would be for nothing.
    buy(&ann, "freeleech-token", json!({ "info_hash": plain })).is_problem(409, "conflict");
    assert_eq!(balance(&ann), 1_000_000);
    let announce = |rest: &str| club.server.announce_when_known(key, &hash, 6881, rest);
    announce("uploaded=0&downloaded=0&left=100&event=started");
    announce("uploaded=20&downloaded=60&left=40");
    let stats = until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["downloaded"] == 60).then_some(stats)
    });
    assert_eq!(stats["credited_uploaded"], 20);
    assert_eq!(stats["credited_downloaded"], 0);
}

fn wrong_purchases_are_refused_and_nothing_is_paid(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 3_900_000);
    let hash = club.site.add_torrent().replace('%', "");
    let body = |hash: &str| json!({ "info_hash": hash });
    for item in ["nothing", "Invite", "%00", "a%2Fb"] {
        buy(&ann, item, json!({})).is_problem(404, "not-found");
    }
    buy(&ann, "invite", body(&hash)).minds(&["info_hash"]);
    buy(&ann, "settle-hit-and-run", json!({})).minds(&["info_hash"]);
    for item in ["freeleech-token", "settle-hit-and-run"] {
        for wrong in ["", "x", "\u{0}", &"0".repeat(40)] {
            buy(&ann, item, body(wrong)).minds(&["info_hash"]);
        }
    }
    buy(&ann, "invite", json!({ "price_milli": 0 })).is_problem(422, "invalid");
    let problem = buy(&ann, "invite", json!({})).is_problem(409, "conflict");
    assert_eq!(problem["detail"], "that takes 100.000 credits more");
    // She never took it.
    buy(&ann, "settle-hit-and-run", body(&hash)).is_problem(409, "conflict");
    let _: Vec<(i64,)> = club
        .site
        .rows("update torrents set status = 'closed' returning id");
    buy(&ann, "freeleech-token", body(&hash)).minds(&["info_hash"]);
    buy(&club.admin(), "freeleech-token", body(&hash)).minds(&["info_hash"]);
    buy(&club.anonymous(), "invite", json!({})).is_problem(401, "unauthenticated");
    buy(&ann.bot(&["read"]), "invite", json!({})).is_problem(403, "forbidden");
    assert_eq!(balance(&ann), 3_900_000);
    let entries: Vec<(i64,)> = club.site.rows("select count(*) from credit_entries");
    assert_eq!(entries, [(1,)]);
}

fn at_once(count: usize, ask: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..count)
            .map(|number| {
                let ask = &ask;
                scope.spawn(move || ask(number))
            })
            .collect();
        askers.into_iter().map(|a| a.join().unwrap()).collect()
    })
}

fn money_for_one_buys_one(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 399_999);
    let answers = at_once(6, |_| buy(&ann, "upload-10-gib", json!({})));
    let mut done = 0;
    for answer in answers {
        match answer.status {
            201 => done += 1,
            _ => drop(answer.is_problem(409, "conflict")),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(balance(&ann), 199_999);
    let stats = ann.get("/api/user/stats/").json();
    assert_eq!(stats["credited_uploaded"], 10_u64 << 30);
}

fn a_purchase_with_a_key_is_done_once(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 1_000_000);
    let buy = |path: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
        ];
        ann.call("POST", path, &headers, b"{}".to_vec())
    };
    let upload = format!("{SHOP}upload-10-gib/");
    let (first, again) = (buy(&upload), buy(&upload));
    assert_eq!((first.status, again.status), (201, 201), "{again:?}");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.text, again.text);
    assert_eq!(balance(&ann), 800_000);
    buy(&format!("{SHOP}invite/")).is_problem(422, "idempotency-key-reused");
}

fn a_gift_is_given_and_told(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (rich(&club, "Ann", 5000), club.member("Bob"));
    let body = json!({ "username": "bob", "amount_milli": 1500, "note": " for you " });
    let given = ann.post(GIFTS, body);
    assert_eq!(given.status, 201, "{given:?}");
    let entry = given.json();
    assert_eq!(
        (&entry["kind"], &entry["amount_milli"]),
        (&json!("gift"), &json!(-1500))
    );
    assert_eq!(
        (&entry["balance_milli"], &entry["note"]),
        (&json!(3500), &json!("to Bob: for you"))
    );
    let listed = |who: &Caller| who.get("/api/credits/transactions/").json()["results"][0].clone();
    assert_eq!(listed(&ann), entry);
    let taken = listed(&bob);
    assert_eq!(
        (&taken["kind"], &taken["amount_milli"]),
        (&json!("gift"), &json!(1500))
    );
    assert_eq!(
        (&taken["balance_milli"], &taken["note"]),
        (&json!(1500), &json!("from Ann: for you"))
    );
    let told = bob.get("/api/user/notifications/").json();
    assert_eq!(
        told["results"][0]["message"],
        "Ann gave you 1.5 credits: for you"
    );
    assert_eq!(told["results"][0]["kind"], "credits");
    // All of it, without a word.
    let rest = json!({ "username": "Ann", "amount_milli": 1500 });
    let rest = bob.post(GIFTS, rest);
    assert_eq!(rest.status, 201, "{rest:?}");
    assert_eq!(rest.json()["note"], "to Ann");
    assert_eq!((balance(&ann), balance(&bob)), (5000, 0));
}

fn wrong_gifts_are_refused_and_nothing_is_given(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 5000);
    club.member("bob");
    let eve = club.member("eve");
    let disabled = club.admin().patch(
        &format!("/api/admin/users/{}/", eve.id()),
        json!({ "status": "disabled" }),
    );
    assert_eq!(disabled.status, 200, "{disabled:?}");
    let give = |body| ann.post(GIFTS, body);
    for nobody in ["ann", "ANN", "eve", "nobody", "", "a\u{0}b"] {
        give(json!({ "username": nobody, "amount_milli": 1 })).minds(&["username"]);
    }
    let most = 1_000_000_000_000_000_i64;
    for amount in [0, -1, most + 1, i64::MAX, i64::MIN] {
        give(json!({ "username": "bob", "amount_milli": amount })).minds(&["amount_milli"]);
    }
    for note in ["a\u{0}b", "a\nb", &"x".repeat(501)] {
        give(json!({ "username": "bob", "amount_milli": 1, "note": note })).minds(&["note"]);
    }
    give(json!({ "username": "eve", "amount_milli": 0, "note": "a\nb" })).minds(&[
        "amount_milli",
        "note",
        "username",
    ]);
    give(json!({ "username": "bob" })).minds(&["amount_milli"]);
    for amount in [5001, most] {
        give(json!({ "username": "bob", "amount_milli": amount })).is_problem(409, "conflict");
    }
    let body = json!({ "username": "bob", "amount_milli": 1 });
    club.anonymous()
        .post(GIFTS, body.clone())
        .is_problem(401, "unauthenticated");
    eve.post(GIFTS, body.clone())
        .is_problem(401, "unauthenticated");
    ann.bot(&["read"])
        .post(GIFTS, body)
        .is_problem(403, "forbidden");
    assert_eq!(balance(&ann), 5000);
    let entries: Vec<(i64,)> = club.site.rows("select count(*) from credit_entries");
    assert_eq!(entries, [(1,)]);
}

fn gifts_in_a_ring_conserve_the_sum(database: Database) {
    const NAMES: [&str; 4] = ["ann", "bob", "eve", "kim"];
    let club = Club::open(database);
    let members = NAMES.map(|name| rich(&club, name, 100));
    let answers = at_once(8, |number| {
        let (from, step) = (number % 4, if number < 4 { 1 } else { 3 });
        let to = NAMES[(from + step) % 4];
        let give = |amount| {
            let answer =
                members[from].post(GIFTS, json!({ "username": to, "amount_milli": amount }));
            assert!([201, 409].contains(&answer.status), "{answer:?}");
            answer
        };
        (1..=9).for_each(|turn| drop(give(10 * turn)));
        give(1)
    });
    assert_eq!(answers.len(), 8);
    let balances = members.each_ref().map(balance);
    assert_eq!(balances.iter().sum::<i64>(), 400, "{balances:?}");
    assert!(balances.iter().all(|balance| *balance >= 0), "{balances:?}");
    let gifts: Vec<(i64, i64)> = club.site.rows(
        "select count(*), cast(sum(amount_milli) as bigint) from credit_entries where kind = 'gift'",
    );
    let (count, sum) = gifts[0];
    assert!(count > 0 && count % 2 == 0);
    assert_eq!(sum, 0);
}
