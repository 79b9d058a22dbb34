//! Credits: what members have, and what admins give and take.

use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::site::{Database, until};

on_both_databases!(
    a_grant_and_a_penalty_are_on_the_account,
    who_may_not_give_is_refused,
    wrong_grants_are_refused_and_nothing_is_written,
    grants_at_once_add_up,
    transactions_come_in_pages_newest_first,
    a_low_ratio_is_warned_of,
    the_classes_are_listed,
);

fn path(member: &Caller) -> String {
    format!("/api/admin/users/{}/credits/", member.id())
}

fn balance(member: &Caller) -> i64 {
    member.get("/api/credits/balance/").json()["credits_milli"]
        .as_i64()
        .unwrap()
}

fn a_grant_and_a_penalty_are_on_the_account(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    assert_eq!(
        ann.get("/api/credits/balance/").json(),
        json!({ "credits_milli": 0, "ratio": null, "uploaded": 0, "downloaded": 0, "warning": null })
    );
    let granted = admin.post(
        &path(&ann),
        json!({ "amount_milli": 5000, "reason": " bug " }),
    );
    assert_eq!(granted.status, 201, "{granted:?}");
    let penalty = admin.post(
        &path(&ann),
        json!({ "amount_milli": -2000, "reason": "late" }),
    );
    assert_eq!(penalty.status, 201, "{penalty:?}");
    assert_eq!(balance(&ann), 3000);
    assert_eq!(ann.get("/api/user/stats/").json()["credits_milli"], 3000);
    let listed = ann.get("/api/credits/transactions/").json();
    assert_eq!(listed["results"], json!([penalty.json(), granted.json()]));
    assert_eq!(listed["results"][1]["note"], "bug");
    assert_eq!(listed["results"][1]["kind"], "grant");
    assert_eq!(listed["results"][0]["kind"], "penalty");
    assert_eq!(listed["results"][0]["balance_milli"], 3000);
    assert_eq!(listed["results"][0]["info_hash"], Value::Null);
    // Not below zero: exactly to it.
    admin
        .post(&path(&ann), json!({ "amount_milli": -3001, "reason": "x" }))
        .is_problem(409, "conflict");
    let all = json!({ "amount_milli": -3000, "reason": "x" });
    assert_eq!(admin.post(&path(&ann), all).status, 201);
    assert_eq!(balance(&ann), 0);
    let audits: Vec<(String, String)> = club
        .site
        .rows("select subject, detail from audit_entries order by id");
    assert_eq!(audits.len(), 3);
    assert_eq!(audits[0].0, format!("user:{}", ann.id()));
    assert!(audits[0].1.starts_with("+5000 "), "{audits:?}");
}

fn who_may_not_give_is_refused(database: Database) {
    let club = Club::open(database);
    let (ann, staff) = (club.member("ann"), club.staff("sam"));
    let gift = json!({ "amount_milli": 1, "reason": "x" });
    for (who, status, kind) in [
        (&club.anonymous(), 401, "unauthenticated"),
        (&ann, 403, "forbidden"),
        (&staff, 403, "forbidden"),
    ] {
        who.post(&path(&ann), gift.clone()).is_problem(status, kind);
    }
    for read in ["balance", "transactions", "user-classes"] {
        club.anonymous()
            .get(&format!("/api/credits/{read}/"))
            .is_problem(401, "unauthenticated");
    }
    club.admin()
        .post("/api/admin/users/999/credits/", gift)
        .is_problem(404, "not-found");
    assert_eq!(balance(&ann), 0);
}

fn wrong_grants_are_refused_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let most = 1_000_000_000_000_000_i64;
    let ask = |body| admin.post(&path(&ann), body);
    ask(json!({ "amount_milli": 0, "reason": " " })).minds(&["amount_milli", "reason"]);
    for amount in [most + 1, -most - 1, i64::MAX, i64::MIN] {
        ask(json!({ "amount_milli": amount, "reason": "x" })).minds(&["amount_milli"]);
    }
    ask(json!({ "amount_milli": 0.5, "reason": "x" })).minds(&["amount_milli"]);
    for reason in ["", "a\u{0}b", "a\nb", &"x".repeat(501)] {
        ask(json!({ "amount_milli": 1, "reason": reason })).minds(&["reason"]);
    }
    ask(json!({ "amount_milli": 1 })).is_problem(422, "invalid");
    let rows: Vec<(i64,)> = club.site.rows(
        "select (select count(*) from credit_entries) + (select count(*) from audit_entries)",
    );
    assert_eq!(rows, [(0,)]);
    assert_eq!(
        ask(json!({ "amount_milli": most, "reason": "x" })).status,
        201
    );
    // A balance has an end, far from where 64 bits have theirs.
    let _: Vec<(i64,)> = club.site.rows(
        "update users set credits_milli = 1000000000000000000 where username = 'ann' returning id",
    );
    ask(json!({ "amount_milli": 1, "reason": "x" })).is_problem(409, "conflict");
}

fn grants_at_once_add_up(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let path = path(&ann);
    std::thread::scope(|scope| {
        for thread in 0..6_i64 {
            let (admin, path) = (&admin, &path);
            scope.spawn(move || {
                for turn in 0..5 {
                    let amount = if turn == 4 { -50 } else { 100 + thread };
                    let body = json!({ "amount_milli": amount, "reason": "at once" });
                    assert_eq!(admin.post(path, body).status, 201);
                }
            });
        }
    });
    let expected = (0..6).map(|thread| 4 * (100 + thread) - 50).sum::<i64>();
    assert_eq!(balance(&ann), expected);
    let entries: Vec<(i64, i64)> = club
        .site
        .rows("select amount_milli, balance_milli from credit_entries order by id");
    assert_eq!(entries.iter().map(|entry| entry.0).sum::<i64>(), expected);
    // In the order in which they were written, each follows from the one before.
    let mut before = 0;
    for (amount, after) in entries {
        assert_eq!(before + amount, after);
        before = after;
    }
}

fn transactions_come_in_pages_newest_first(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    for amount in 1..=5 {
        let body = json!({ "amount_milli": amount, "reason": "x" });
        assert_eq!(admin.post(&path(&ann), body).status, 201);
    }
    // Somebody else's aren't hers.
    let own = json!({ "amount_milli": 9, "reason": "mine" });
    assert_eq!(admin.post(&path(&admin), own).status, 201);
    let listed = ann.all("/api/credits/transactions/?limit=2");
    let amounts: Vec<_> = listed
        .iter()
        .map(|entry| entry["amount_milli"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [5, 4, 3, 2, 1]);
    ann.get("/api/credits/transactions/?limit=201")
        .minds(&["limit"]);
}

fn a_low_ratio_is_warned_of(database: Database) {
    let club = Club::open_with(database, &[("PURSER__CREDITS__MIN_RATIO_WARNING", "0.75")]);
    let ann = club.member("ann");
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let announce = |rest| club.server.announce_when_known(key, &hash, 6881, rest);
    announce("uploaded=0&downloaded=0&left=9&event=started");
    announce("uploaded=500&downloaded=1000&left=9");
    let balance = until(|| {
        let balance = ann.get("/api/credits/balance/").json();
        (balance["downloaded"] == 1000).then_some(balance)
    });
    assert_eq!(balance["ratio"], 0.5);
    let warning = balance["warning"].as_str().unwrap();
    assert!(
        warning.contains("0.5") && warning.contains("0.75"),
        "{warning}"
    );
}

fn the_classes_are_listed(database: Database) {
    let club = Club::open(database);
    let classes = club.member("ann").get("/api/credits/user-classes/").json();
    let classes = classes["results"].as_array().unwrap().clone();
    let names: Vec<_> = classes.iter().map(|class| class["name"].clone()).collect();
    assert_eq!(names, ["newbie", "member", "trusted", "elite"]);
    let ranks: Vec<_> = classes.iter().map(|class| class["rank"].clone()).collect();
    assert_eq!(ranks, [1, 2, 3, 4]);
}
