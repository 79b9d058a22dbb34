//! What holds for every request and every reply.

use crate::people::Club;
use crate::site::Database;

#[test]
fn paths_end_with_or_without_a_slash() {
    let club = Club::open(Database::Sqlite);
    let admin = club.admin();
    for path in ["/api", "/api/user/profile", "/api/user/tokens?limit=3"] {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        for end in ["", "/"] {
            let answer = admin.get(&format!("{path}{end}?{query}"));
            assert_eq!(answer.status, 200, "{path}{end}: {answer:?}");
        }
    }
    let anonymous = club.anonymous();
    anonymous.get("/api/nothing").is_problem(404, "not-found");
    anonymous.get("/").is_problem(404, "not-found");
    anonymous
        .get("//evil.example/%2e%2e/")
        .is_problem(404, "not-found");
    anonymous
        .delete("/api/user/profile/")
        .is_problem(405, "method-not-allowed");
}

#[test]
fn every_reply_has_its_headers() {
    let club = Club::open(Database::Sqlite);
    let anonymous = club.anonymous();
    for path in [
        "/api/logs/health/",
        "/api/user/profile/",
        "/nothing",
        "/openapi.json",
    ] {
        let answer = anonymous.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("x-request-id").len(), 36);
        // Closed to other sites' scripts.
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let sent = anonymous.call("GET", "/api/", &[("x-request-id", "mine-7")], Vec::new());
    assert_eq!(sent.header("x-request-id"), "mine-7");
    for strange in ["x".repeat(129).as_str(), "a b", "a\tb", ""] {
        let sent = anonymous.call("GET", "/api/", &[("x-request-id", strange)], Vec::new());
        assert_eq!(sent.header("x-request-id").len(), 36, "{strange}");
    }
    let twice = [("x-request-id", "one"), ("x-request-id", "two")];
    let sent = anonymous.call("GET", "/api/", &twice, Vec::new());
    assert_eq!(sent.header("x-request-id").len(), 36);
    let unauthenticated = anonymous.get("/api/user/profile/");
    assert_eq!(unauthenticated.header("www-authenticate"), "Bearer");
}
