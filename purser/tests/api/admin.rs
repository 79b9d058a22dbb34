//! Members, as staff look them up and admins change them; and the site, as admins see it.

use serde_json::{Value, json};

use crate::people::{Caller, Club, PASSWORD};
use crate::site::{Database, until};

on_both_databases!(
    members_are_listed_and_found,
    a_member_is_shown_with_all_there_is,
    who_may_not_look_or_change_is_refused,
    wrong_changes_are_refused_and_nothing_is_written,
    a_disabled_member_is_out_everywhere,
    a_change_of_role_holds_at_once,
    nobody_disables_or_demotes_themselves,
    two_admins_who_demote_each_other_leave_one,
    changes_are_in_the_audit,
);

fn path(member: &Caller) -> String {
    format!("/api/admin/users/{}/", member.id())
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["username"].as_str().unwrap())
        .collect()
}

fn members_are_listed_and_found(database: Database) {
    let club = Club::open(database);
    for name in ["ann", "Anna", "bob", "an_x"] {
        club.member(name);
    }
    let staff = club.staff("sam");
    let find = |query: &str| staff.all(&format!("/api/admin/users/?limit=2{query}"));
    assert_eq!(
        names(&find("")),
        ["admin", "ann", "Anna", "bob", "an_x", "sam"]
    );
    assert_eq!(names(&find("&search=ANN")), ["ann", "Anna"]);
    assert_eq!(names(&find("&search=an_")), ["an_x"]);
    assert_eq!(names(&find("&search=%25")), [""; 0]);
    assert_eq!(names(&find("&role=staff")), ["sam"]);
    assert_eq!(
        names(&find("&role=member&search=a")),
        ["ann", "Anna", "an_x"]
    );
    assert_eq!(names(&find("&status=disabled")), [""; 0]);
    let bob = club.anonymous().logged_in("bob", PASSWORD);
    let disable = json!({ "status": "disabled" });
    assert_eq!(club.admin().patch(&path(&bob), disable).status, 200);
    assert_eq!(names(&find("&status=disabled")), ["bob"]);
    for wrong in [
        "status=asleep",
        "role=king",
        "search=%00",
        "limit=0",
        "cursor=x",
    ] {
        staff
            .get(&format!("/api/admin/users/?{wrong}"))
            .is_problem(422, "invalid");
    }
}

fn a_member_is_shown_with_all_there_is(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let code = admin.post("/api/user/invites/", json!({})).json()["code"].clone();
    let joined = club.anonymous().register("ann", code.as_str().unwrap());
    assert_eq!(joined.status, 201);
    let ann = club.anonymous().logged_in("ann", PASSWORD);
    ann.post("/api/user/tokens/", json!({}));
    let shown = admin.get(&path(&ann)).json();
    assert_eq!(shown["username"], "ann");
    assert_eq!(shown["email"], "ann@example.org");
    assert_eq!(
        shown["invited_by"],
        json!({ "id": admin.id(), "username": "admin" })
    );
    assert_eq!(
        shown["counts"],
        json!({ "invited": 0, "tokens": 1, "api_keys": 0, "logins": 1 })
    );
    assert_eq!(shown["stats"], ann.get("/api/user/stats/").json());
    assert_eq!(admin.get(&path(&admin)).json()["counts"]["invited"], 1);
    assert_eq!(admin.get(&path(&admin)).json()["invited_by"], Value::Null);
}

fn who_may_not_look_or_change_is_refused(database: Database) {
    let club = Club::open(database);
    let (ann, staff, admin) = (club.member("ann"), club.staff("sam"), club.admin());
    let path = path(&ann);
    let change = json!({ "role": "admin" });
    for read in ["/api/admin/users/", path.as_str()] {
        club.anonymous()
            .get(read)
            .is_problem(401, "unauthenticated");
        ann.get(read).is_problem(403, "forbidden");
        assert_eq!(staff.get(read).status, 200);
    }
    club.anonymous()
        .patch(&path, change.clone())
        .is_problem(401, "unauthenticated");
    ann.patch(&path, change.clone())
        .is_problem(403, "forbidden");
    staff
        .patch(&path, change.clone())
        .is_problem(403, "forbidden");
    for nothing in ["999", "x", "-1"] {
        let nothing = format!("/api/admin/users/{nothing}/");
        admin.get(&nothing).is_problem(404, "not-found");
        admin
            .patch(&nothing, change.clone())
            .is_problem(404, "not-found");
    }
    // An API key of an admin's needs the scope too.
    let key = |scopes: &[&str]| {
        let body = json!({ "label": "bot", "scopes": scopes });
        let made = admin.post("/api/user/api-keys/", body).json();
        admin.with(made["api_key"].as_str().unwrap())
    };
    let plain = key(&["read", "write"]);
    plain.get("/api/admin/users/").is_problem(403, "forbidden");
    let bot = key(&["read", "staff"]);
    assert_eq!(bot.get("/api/admin/users/").status, 200);
    bot.patch(&path, change).is_problem(403, "forbidden");
    assert_eq!(admin.get(&path).json()["role"], "member");
}

fn wrong_changes_are_refused_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let ask = |body| admin.patch(&path(&ann), body);
    ask(json!({ "status": "asleep" })).minds(&["status"]);
    ask(json!({ "role": "king" })).minds(&["role"]);
    ask(json!({ "user_class": "Elite" })).minds(&["user_class"]);
    ask(json!({ "invites": -1 })).minds(&["invites"]);
    ask(json!({ "invites": 10_001 })).minds(&["invites"]);
    ask(json!({ "username": "x" })).minds(&["username"]);
    // Nothing to change is no change.
    assert_eq!(ask(json!({})).status, 200);
    let audits: Vec<(i64,)> = club.site.rows("select count(*) from audit_entries");
    assert_eq!(audits, [(0,)]);
    let changed = ask(json!({ "user_class": "elite", "invites": 3 })).json();
    assert_eq!(
        (&changed["user_class"], &changed["invites"]),
        (&json!("elite"), &json!(3))
    );
    assert_eq!(ann.get("/api/user/profile/").json()["invites"], 3);
}

/// The tracker refuses within two seconds, the API at once; and what was open then stays closed.
fn a_disabled_member_is_out_everywhere(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    let seeding = "uploaded=0&downloaded=0&left=0";
    let reply = club.server.announce_when_known(key, &hash, 6881, seeding);
    assert!(reply.contains("8:interval"), "{reply}");
    let bot = ann.bot(&["read"]);
    let path = path(&ann);
    let disabled = admin.patch(&path, json!({ "status": "disabled" }));
    let since = std::time::Instant::now();
    assert_eq!(disabled.json()["status"], "disabled");
    assert_eq!(disabled.json()["counts"]["logins"], 0);
    assert_ne!(ann.get("/api/user/profile/").status, 200);
    club.anonymous()
        .log_in("ann", PASSWORD)
        .is_problem(403, "account-disabled");
    let refused = until(|| {
        let reply = club.server.announce(key, &hash, 6881, seeding);
        reply.contains("failure reason").then_some(reply)
    });
    assert!(refused.contains("disabled"), "{refused}");
    assert!(since.elapsed().as_secs() < 2, "{:?}", since.elapsed());

    let active = admin.patch(&path, json!({ "status": "active" }));
    assert_eq!(active.json()["status"], "active");
    until(|| {
        let reply = club.server.announce(key, &hash, 6881, seeding);
        (!reply.contains("disabled")).then_some(())
    });
    // The login of before is over for good.
    ann.get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    bot.get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    club.anonymous().logged_in("ann", PASSWORD);
}

fn a_change_of_role_holds_at_once(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let path = path(&ann);
    ann.get("/api/admin/users/").is_problem(403, "forbidden");
    assert_eq!(admin.patch(&path, json!({ "role": "staff" })).status, 200);
    assert_eq!(ann.get("/api/admin/users/").status, 200);
    assert_eq!(admin.patch(&path, json!({ "role": "member" })).status, 200);
    ann.get("/api/admin/users/").is_problem(403, "forbidden");
}

fn nobody_disables_or_demotes_themselves(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let path = path(&admin);
    for change in [
        json!({ "status": "disabled" }),
        json!({ "role": "staff" }),
        json!({ "role": "member", "invites": 1 }),
    ] {
        admin.patch(&path, change).is_problem(409, "conflict");
    }
    let same = json!({ "role": "admin", "status": "active", "invites": 5 });
    let changed = admin.patch(&path, same).json();
    assert_eq!(
        (&changed["role"], &changed["invites"]),
        (&json!("admin"), &json!(5))
    );
}

fn two_admins_who_demote_each_other_leave_one(database: Database) {
    let club = Club::open(database);
    let (admin, ann) = (club.admin(), club.member("ann"));
    club.set_role("ann", "admin");
    let (to_admin, to_ann) = (path(&admin), path(&ann));
    for turn in 0..10 {
        let demote = json!({ "role": "member" });
        let ban = json!({ "status": "disabled" });
        let change = if turn % 2 == 0 { demote } else { ban };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| admin.patch(&to_ann, change.clone()).status);
            let second = scope.spawn(|| ann.patch(&to_admin, change.clone()).status);
            let statuses = [first.join().unwrap(), second.join().unwrap()];
            assert!(statuses.contains(&200), "{statuses:?}");
        });
        let left: Vec<(i64,)> = club
            .site
            .rows("select count(*) from users where role = 'admin' and status = 'active'");
        assert_eq!(left, [(1,)], "turn {turn}");
        let _: Vec<(i64,)> = club
            .site
            .rows("update users set role = 'admin', status = 'active' returning id");
        let _: Vec<(i64,)> = club
            .site
            .rows("update logins set revoked_at = null returning id");
    }
}

fn changes_are_in_the_audit(database: Database) {
    let club = Club::open(database);
    let (ann, admin) = (club.member("ann"), club.admin());
    let change =
        json!({ "status": "disabled", "role": "uploader", "user_class": "member", "invites": 2 });
    let id = ann.id();
    assert_eq!(admin.patch(&path(&ann), change).status, 200);
    let audits: Vec<(i64, String, String, String)> = club
        .site
        .rows("select actor_id, action, subject, detail from audit_entries");
    let admin_id = i64::try_from(admin.id()).unwrap();
    let detail = "status: active to disabled; role: member to uploader; user_class: newbie to member; invites: 0 to 2";
    assert_eq!(
        audits,
        [(
            admin_id,
            "user.change".to_owned(),
            format!("user:{id}"),
            detail.to_owned()
        )]
    );
}
