//! Becoming a member, logging in, staying in, and out again.

use serde_json::json;

use crate::people::{Club, PASSWORD};
use crate::site::Database;

on_both_databases!(
    an_invite_code_makes_one_member,
    wrong_fields_are_all_named_and_nothing_is_written,
    of_many_who_come_with_one_code_one_gets_in,
    a_wrong_code_is_refused_before_anything_is_hashed,
    names_and_passwords_that_are_wrong_get_the_same_answer,
    a_refresh_token_used_twice_ends_the_login,
    of_two_refreshes_at_once_one_succeeds,
    after_logging_out_nothing_of_that_login_is_good,
    a_new_password_ends_every_login_and_every_api_key,
    a_password_from_the_operator_ends_them_too,
    a_disabled_member_is_refused_at_once,
);

fn an_invite_code_makes_one_member(database: Database) {
    let club = Club::open(database);
    let code = club.site.run("create-invite");
    let anonymous = club.anonymous();
    let answer = anonymous.register("Ann", &code);
    assert_eq!(answer.status, 201, "{answer:?}");
    let member = answer.json();
    assert_eq!(member["username"], "Ann");
    assert_eq!(member["user_class"], "newbie");
    assert!(member["id"].is_u64());
    anonymous.register("Bob", &code).minds(&["invite_code"]);
    anonymous
        .register("Bob", "no such code")
        .minds(&["invite_code"]);

    let ann = anonymous.logged_in("ANN", PASSWORD);
    let profile = ann.get("/api/user/profile/").json();
    assert_eq!(profile["id"], member["id"]);
    assert_eq!(profile["email"], "Ann@example.org");
    assert_eq!(profile["role"], "member");
    let joined: String = profile["joined_at"].as_str().unwrap().into();
    assert!(joined.ends_with('Z') && joined.contains('T'), "{joined}");

    let other = club.site.run("create-invite");
    anonymous.register("ann", &other).is_problem(409, "taken");
    // Who was refused hasn't used the code up.
    assert_eq!(anonymous.register("Bob", &other).status, 201);
}

fn wrong_fields_are_all_named_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let code = club.site.run("create-invite");
    let anonymous = club.anonymous();
    let register = |body| anonymous.post("/api/auth/register/", body);
    for (name, email, password) in [
        ("an", "ann", "short"),
        ("ann\u{430}", "@", &"x".repeat(257)),
        ("../etc", "a b@c", ""),
    ] {
        let body =
            json!({ "username": name, "email": email, "password": password, "invite_code": code });
        register(body).minds(&["username", "email", "password"]);
    }
    register(json!({ "username": "ann" })).is_problem(422, "invalid");
    register(json!({ "username": 7 })).minds(&["username"]);
    register(json!({ "username": "ann", "is_admin": true })).minds(&["is_admin"]);
    register(json!([])).is_problem(422, "invalid");
    // A NUL, which Postgres keeps in no text.
    let login = anonymous.log_in("a\0b", "password");
    assert!([401, 422].contains(&login.status), "{login:?}");
    let raw = |kind: &str, body: &[u8]| {
        anonymous.call(
            "POST",
            "/api/auth/register/",
            &[("content-type", kind)],
            body.to_vec(),
        )
    };
    raw("application/json", b"{").is_problem(400, "malformed");
    raw("application/json", b"{} {}").is_problem(422, "invalid");
    raw("application/json", b"\xff").is_problem(400, "malformed");
    raw("text/plain", b"{}").is_problem(415, "unsupported-media-type");
    raw("application/json", &vec![b' '; 300_000]).is_problem(413, "too-large");
    let users: Vec<(i64,)> = club.site.rows("select count(*) from users");
    assert_eq!(users, [(1,)]);
    assert_eq!(anonymous.register("ann", &code).status, 201);
}

fn of_many_who_come_with_one_code_one_gets_in(database: Database) {
    let club = Club::open(database);
    let code = club.site.run("create-invite");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|n| {
                let (caller, code) = (club.anonymous(), &code);
                scope.spawn(move || caller.register(&format!("racer{n}"), code).status)
            })
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|&&status| status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses
            .iter()
            .all(|&status| status == 201 || status == 422)
    );
}

fn a_wrong_code_is_refused_before_anything_is_hashed(database: Database) {
    let club = Club::open(database);
    let anonymous = club.anonymous();
    let computed = |ask: &dyn Fn()| {
        let before = club.server.cpu_ticks();
        (0..12).for_each(|_| ask());
        club.server.cpu_ticks() - before
    };
    let logins = computed(&|| {
        anonymous
            .log_in("nobody", PASSWORD)
            .is_problem(401, "wrong-credentials");
    });
    let registrations = computed(&|| {
        anonymous
            .register("ann", "no such code")
            .minds(&["invite_code"]);
    });
    assert!(2 * registrations < logins, "{registrations} and {logins}");
}

fn names_and_passwords_that_are_wrong_get_the_same_answer(database: Database) {
    let club = Club::open(database);
    club.member("ann");
    club.site.create_user("nopassword");
    let anonymous = club.anonymous();
    let long = "x".repeat(10_000);
    for (name, password) in [
        ("ann", "wrong password"),
        ("nobody", PASSWORD),
        ("nopassword", PASSWORD),
        ("ann", long.as_str()),
        ("ann", ""),
    ] {
        let problem = anonymous.log_in(name, password);
        assert!(problem.is_problem(401, "wrong-credentials")["detail"].is_null());
    }
}

fn a_refresh_token_used_twice_ends_the_login(database: Database) {
    let club = Club::open(database);
    club.member("ann");
    let anonymous = club.anonymous();
    let refresh = |token: &str| anonymous.post("/api/auth/refresh/", json!({ "refresh": token }));
    let first = anonymous.log_in("ann", PASSWORD).json();
    let other = anonymous.log_in("ann", PASSWORD).json();
    assert_eq!(first["expires_in"], 900);
    let second = refresh(first["refresh"].as_str().unwrap());
    assert_eq!(second.status, 200, "{second:?}");
    let second = second.json();
    let profile = |pair: &serde_json::Value| {
        let caller = anonymous.with(pair["access"].as_str().unwrap());
        caller.get("/api/user/profile/").status
    };
    assert_eq!(profile(&second), 200);
    refresh(first["refresh"].as_str().unwrap()).is_problem(401, "bad-refresh-token");
    refresh(second["refresh"].as_str().unwrap()).is_problem(401, "bad-refresh-token");
    assert_eq!(profile(&second), 401);
    assert_eq!(profile(&other), 200);
    for made_up in ["", "x.y.z", other["access"].as_str().unwrap()] {
        refresh(made_up).is_problem(401, "bad-refresh-token");
    }
    anonymous
        .with(other["refresh"].as_str().unwrap())
        .get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
}

fn of_two_refreshes_at_once_one_succeeds(database: Database) {
    let club = Club::open(database);
    club.member("ann");
    let token = club.anonymous().log_in("ann", PASSWORD).json()["refresh"].clone();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (caller, token) = (club.anonymous(), token.clone());
                scope.spawn(move || {
                    caller
                        .post("/api/auth/refresh/", json!({ "refresh": token }))
                        .status
                })
            })
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|&&status| status == 200).count(),
        1,
        "{statuses:?}"
    );
}

fn after_logging_out_nothing_of_that_login_is_good(database: Database) {
    let club = Club::open(database);
    club.member("ann");
    let anonymous = club.anonymous();
    let pair = anonymous.log_in("ann", PASSWORD).json();
    let ann = anonymous.with(pair["access"].as_str().unwrap());
    let out = ann.post("/api/auth/logout/", json!({}));
    assert_eq!(out.status, 204, "{out:?}");
    ann.get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    anonymous
        .post("/api/auth/refresh/", json!({ "refresh": pair["refresh"] }))
        .is_problem(401, "bad-refresh-token");
}

fn a_new_password_ends_every_login_and_every_api_key(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let elsewhere = club.anonymous().logged_in("ann", PASSWORD);
    let change = |body| ann.patch("/api/user/profile/", body);
    change(json!({ "password": "another password" })).minds(&["current_password"]);
    change(json!({ "email": "x", "current_password": PASSWORD })).minds(&["email"]);
    let changed = change(json!({ "email": "new@example.org", "current_password": PASSWORD }));
    assert_eq!(changed.json()["email"], "new@example.org");
    assert_eq!(elsewhere.get("/api/user/profile/").status, 200);
    let bot = ann.bot(&["read"]);
    let changed = change(json!({ "password": "another password", "current_password": PASSWORD }));
    assert_eq!(changed.status, 200, "{changed:?}");
    ann.get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    elsewhere
        .get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    bot.get("/api/user/profile/")
        .is_problem(401, "unauthenticated");
    club.anonymous()
        .log_in("ann", PASSWORD)
        .is_problem(401, "wrong-credentials");
    club.anonymous().logged_in("ann", "another password");
}

fn a_password_from_the_operator_ends_them_too(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let bot = admin.bot(&["read"]);
    club.site.run("setup-admin --username admin");
    for caller in [admin, bot] {
        caller
            .get("/api/user/profile/")
            .is_problem(401, "unauthenticated");
    }
}

fn a_disabled_member_is_refused_at_once(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    crate::site::runtime().block_on(async {
        let store = store::Store::open(&club.site.database_url()).await.unwrap();
        let user = store.find_user("ann").await.unwrap().unwrap();
        let (disabled, now) = (
            tracker_core::registry::MemberStatus::Disabled,
            tracker_core::ids::UnixTime::now(),
        );
        store.set_user_status(user.id, disabled, now).await.unwrap();
        store.close().await;
    });
    ann.get("/api/user/profile/")
        .is_problem(403, "account-disabled");
    club.anonymous()
        .log_in("ann", PASSWORD)
        .is_problem(403, "account-disabled");
}
