//! Too many requests.

use crate::people::{Answer, Club};
use crate::site::Database;

/// A window may end meanwhile: then one more has room for as many.
fn until_too_many(most: usize, mut ask: impl FnMut() -> Answer) -> Answer {
    for _ in 0..=2 * most {
        let answer = ask();
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("never too many");
}

#[test]
fn one_address_has_so_many_requests_a_minute() {
    let club = Club::open_with(
        Database::Sqlite,
        &[("PURSER__API__REQUESTS_PER_MINUTE", "5")],
    );
    let anonymous = club.anonymous();
    let first = anonymous.get("/api/logs/health/");
    assert_eq!(first.header("ratelimit-policy"), "\"requests\";q=5;w=60");
    assert!(
        first.header("ratelimit").starts_with("\"requests\";r="),
        "{first:?}"
    );
    let refused = until_too_many(5, || anonymous.get("/api/logs/health/"));
    refused.is_problem(429, "too-many-requests");
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").contains(";r=0;"), "{refused:?}");
}

#[test]
fn no_limit_says_nothing() {
    let club = Club::open_with(
        Database::Sqlite,
        &[("PURSER__API__REQUESTS_PER_MINUTE", "0")],
    );
    let answer = club.anonymous().get("/api/logs/health/");
    assert_eq!(answer.header("ratelimit"), "");
}

#[test]
fn passwords_cant_be_tried_without_end() {
    let club = Club::open(Database::Sqlite);
    let ann = club.member("ann");
    let anonymous = club.anonymous();
    let refused = until_too_many(20, || anonymous.log_in("Ann", "a wrong password"));
    refused.is_problem(429, "too-many-requests");
    // The right one isn't even compared; who is in stays in.
    assert_eq!(anonymous.log_in("ann", crate::people::PASSWORD).status, 429);
    assert_eq!(ann.get("/api/user/profile/").status, 200);
}

#[test]
fn invite_codes_cant_be_tried_without_end() {
    let club = Club::open(Database::Sqlite);
    let code = club.site.run("create-invite");
    let anonymous = club.anonymous();
    let refused = until_too_many(30, || anonymous.register("ann", "a guess"));
    refused.is_problem(429, "too-many-requests");
    assert_eq!(anonymous.register("ann", &code).status, 429);
}

#[test]
fn a_proxy_is_believed_only_if_it_is_trusted() {
    let forwarded = |club: &Club, ip: &str| {
        let headers = [("x-forwarded-for", ip)];
        club.anonymous().call("GET", "/api/", &headers, Vec::new())
    };
    let env = [
        ("PURSER__API__REQUESTS_PER_MINUTE", "5"),
        ("PURSER__TRACKER__CLIENT_IP_HEADER", "x-forwarded-for"),
        ("PURSER__TRACKER__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let behind = Club::open_with(Database::Sqlite, &env);
    for n in 0..20 {
        assert_eq!(forwarded(&behind, &format!("192.0.2.{n}")).status, 200);
    }
    let open = Club::open_with(Database::Sqlite, &env[..1]);
    let mut n = 0;
    until_too_many(5, || {
        n += 1;
        forwarded(&open, &format!("192.0.2.{n}"))
    });
}

#[test]
fn a_stolen_access_token_cant_try_passwords_without_end() {
    let club = Club::open(Database::Sqlite);
    let ann = club.member("ann");
    let guess = serde_json::json!({ "email": "x@example.org", "current_password": "a guess" });
    let refused = until_too_many(20, || ann.patch("/api/user/profile/", guess.clone()));
    refused.is_problem(429, "too-many-requests");
}
