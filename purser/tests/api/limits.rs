//! Too many requests.

use serde_json::json;

use crate::people::{Answer, Caller, Club};
use crate::site::{Database, Site};

/// Newbies have five requests a minute.
pub(crate) const FIVE: [(&str, &str); 2] = [
    ("PURSER__CREDITS__POLICY", "few.toml"),
    ("PURSER__API__REQUESTS_PER_MINUTE", "0"),
];

pub(crate) fn site_of_few(database: Database) -> Site {
    let site = Site::new(database);
    site.write("few.toml", "[classes.newbie]\nrequests_per_minute = 5\n");
    site
}

fn club_of_few(env: &[(&str, &str)]) -> Club {
    let site = site_of_few(Database::Sqlite);
    let server = site.start_with("serve", &[&FIVE, env].concat());
    Club { site, server }
}

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

const PROFILE: &str = "/api/user/profile/";

#[test]
fn a_member_has_as_many_requests_a_minute_as_the_class_gives() {
    let club = club_of_few(&[]);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    let first = ann.get(PROFILE);
    assert_eq!(first.header("ratelimit-policy"), "\"member\";q=5;w=60");
    let left = first.header("ratelimit").to_owned();
    assert!(left.starts_with("\"member\";r="), "{left}");
    let refused = until_too_many(5, || ann.get(PROFILE));
    refused.is_problem(429, "too-many-requests");
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let left = refused.header("ratelimit");
    assert!(left.starts_with("\"member\";r=0;"), "{left}");
    assert_eq!(bob.get(PROFILE).status, 200);
    // What asks for nobody's name counts for nobody.
    let open = ann.get("/api/logs/health/");
    assert_eq!((open.status, open.header("ratelimit")), (200, ""));
}

#[test]
fn a_members_keys_count_together_and_its_logins_apart() {
    let club = club_of_few(&[]);
    let ann = club.member("ann");
    let key = ann.bot(&["read", "feeds"]).bearer.unwrap();
    let feed = format!("/torznab/api?t=search&apikey={key}");
    let asked = [
        feed.as_str(),
        PROFILE,
        "/rss/?limit=1",
        "/api/torrents/popular/",
    ];
    let bot = club.anonymous().with(&key);
    let mut turns = asked.iter().cycle();
    let refused = until_too_many(5, || {
        let path = turns.next().unwrap();
        match *path == feed {
            true => club.anonymous().get(path),
            false => bot.get(path),
        }
    });
    assert_eq!(refused.header("ratelimit-policy"), "\"member\";q=5;w=60");
    let refused = until_too_many(5, || club.anonymous().get(&feed));
    assert!(refused.text.contains("code=\"500\""), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    // Whoever has the key can't keep its member from ending it.
    let keys = ann.all("/api/user/api-keys/");
    let ended = ann.delete(&format!("/api/user/api-keys/{}/", keys[0]["id"]));
    assert_eq!(ended.status, 204, "{ended:?}");
    until_too_many(5, || ann.get(PROFILE)).is_problem(429, "too-many-requests");
}

#[test]
fn staff_and_admins_arent_limited_by_class() {
    let club = club_of_few(&[]);
    for who in [club.staff("sam"), club.admin()] {
        for _ in 0..=2 * 5 {
            let answer = who.get(PROFILE);
            assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
        }
    }
    // An uploader is.
    let uma = club.somebody("uma", store::UserRole::Uploader);
    until_too_many(5, || uma.get(PROFILE));
}

/// How many are left of a quota, by a reply.
fn left(answer: &Answer, quota: &str) -> u32 {
    let list = answer.header("ratelimit");
    let start = format!("\"{quota}\";r=");
    let item = list.split(", ").find_map(|item| item.strip_prefix(&start));
    let (left, _) = item.unwrap().split_once(';').unwrap();
    left.parse().unwrap()
}

#[test]
fn a_request_is_counted_once_for_its_address_and_once_for_its_member() {
    let club = club_of_few(&[("PURSER__API__REQUESTS_PER_MINUTE", "100")]);
    let ann = club.member("ann");
    // Whose key it is, is asked twice here: for the first answer, and by the route.
    let headers = [
        ("idempotency-key", "1"),
        ("content-type", "application/json"),
    ];
    let post = |ann: &Caller| {
        let path = "/api/user/tokens/";
        let body = json!({}).to_string().into_bytes();
        ann.call("POST", path, &headers, body)
    };
    // A minute may end in between: then it is tried again.
    let is_one = (0..2).any(|_| {
        let (before, after) = (ann.get(PROFILE), post(&ann));
        let policy = "\"requests\";q=100;w=60, \"member\";q=5;w=60";
        assert_eq!(after.header("ratelimit-policy"), policy);
        // The reply to the next one says what that one took.
        let later = ann.get(PROFILE);
        let two_less = |quota: &str| left(&before, quota) == left(&later, quota) + 2;
        two_less("requests") && two_less("member")
    });
    assert!(is_one);
}
