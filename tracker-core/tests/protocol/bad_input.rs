//! What must not hurt: wrong queries, wrong keys, and bytes that aren't HTTP. Nothing of it leaves a record.

use std::time::Duration;

use tracker_core::ids::{TokenId, UnixTime};
use tracker_core::registry::RevokedToken;
use tracker_core::server::Patience;
use tracker_core::settings::Settings;

use crate::support::*;

#[test]
fn bad_query_is_refused_by_name() {
    let site = Site::new(Settings::default());
    let good = query(V1, 1);
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    let ones = "1".repeat(20);
    let table = [
        ("x=1".to_owned(), "missing parameter: info_hash"),
        (with("&port=1001", ""), "missing parameter: port"),
        (with("&left=9", ""), "missing parameter: left"),
        (good.clone() + "&left=9", "repeated parameter: left"),
        (
            good.clone() + "&info_hash=" + &ones,
            "repeated parameter: info_hash",
        ),
        (with(&ones, &ones[1..]), "info_hash must be 20 bytes"),
        (
            with(&ones, &format!("{ones}1")),
            "info_hash must be 20 bytes",
        ),
        (with(&ones, &"1".repeat(5000)), "info_hash must be 20 bytes"),
        (
            with(&ones, &format!("{}%zz", &ones[1..])),
            "bad percent-encoding in info_hash",
        ),
        (
            with("peer_id=-", "peer_id=%"),
            "bad percent-encoding in peer_id",
        ),
        (with("port=1001", "port=0"), "port must be 1 to 65535"),
        (with("port=1001", "port=65536"), "port must be 1 to 65535"),
        (with("port=1001", "port=x"), "port must be a number"),
        (
            with("uploaded=0", "uploaded=-1"),
            "uploaded must not be negative",
        ),
        (
            with("downloaded=0", "downloaded=9223372036854775808"),
            "downloaded is too large",
        ),
        (with("left=9", "left="), "left must be a number"),
        (
            good.clone() + "&event=exploded",
            "event must be started, completed, stopped or paused",
        ),
        (good.clone() + "&numwant=few", "numwant must be a number"),
    ];
    for (query, reason) in table {
        assert_eq!(
            site.announce(1, &query),
            failure(reason, "5:never"),
            "{query}"
        );
    }
    assert_eq!(site.records(), []);
}

#[test]
fn bad_key_is_refused_by_name() {
    let site = Site::new(Settings::default());
    site.tracker.roster.revoke(RevokedToken {
        id: TokenId(1),
        expires_at: None,
    });
    let copy = "copy your announce URL from the site again";
    let fresh = "get a fresh announce URL from the site";
    let good = token(None, None);
    let tampered = format!(
        "{}{}",
        if good.starts_with('B') { 'C' } else { 'B' },
        &good[1..]
    );
    let table = [
        (
            "f".repeat(32),
            failure(&format!("unknown key: {copy}"), "i30e"),
        ),
        (
            "short".to_owned(),
            failure(&format!("malformed key: {copy}"), "5:never"),
        ),
        (
            "x".repeat(4000),
            failure(&format!("malformed key: {copy}"), "5:never"),
        ),
        (
            "!".repeat(44),
            failure(&format!("malformed key: {copy}"), "5:never"),
        ),
        (
            tampered,
            failure(&format!("invalid key: {copy}"), "5:never"),
        ),
        (
            token(None, Some(UnixTime(1))),
            failure(&format!("expired key: {fresh}"), "5:never"),
        ),
        (good, failure(&format!("revoked key: {fresh}"), "5:never")),
        (key(10), failure("account disabled: ask the staff", "i30e")),
    ];
    for (key, expected) in table {
        let reply = site
            .get(&format!("/announce/{key}?{}", query(V1, 1)))
            .text();
        assert_eq!(reply, expected, "{key}");
        let reply = site
            .get(&format!("/scrape/{key}?info_hash={}", "1".repeat(20)))
            .text();
        assert_eq!(reply, expected, "{key}");
    }
    let reply = site.get(&format!("/announce?{}", query(V1, 1))).text();
    assert_eq!(reply, failure(&format!("missing key: {copy}"), "5:never"));
    assert_eq!(site.records(), []);
}

#[test]
fn announce_url_in_a_browser_says_whether_it_is_good() {
    let site = Site::new(Settings::default());
    let good = failure(
        "this announce URL works: give it to your torrent client",
        "5:never",
    );
    assert_eq!(site.get(&format!("/announce/{}", key(1))).text(), good);
    let copy = "copy your announce URL from the site again";
    let unknown = failure(&format!("unknown key: {copy}"), "i30e");
    assert_eq!(
        site.get(&format!("/announce/{}", "f".repeat(32))).text(),
        unknown
    );
    let missing = failure(&format!("missing key: {copy}"), "5:never");
    assert_eq!(site.get("/announce").text(), missing);
}

#[test]
fn token_bound_to_a_torrent_opens_no_other() {
    let site = Site::new(Settings::default());
    let target = |bound| format!("/announce/{}?{}", token(Some(bound), None), query(V1, 1));
    assert!(site.get(&target(1)).text().starts_with("d8:complete"));
    let expected = failure(
        "this key is for another torrent: download the .torrent again",
        "5:never",
    );
    assert_eq!(site.get(&target(2)).text(), expected);
    assert_eq!(site.records().len(), 1);
}

/// Each row is sent as it is, and the connection is closed after the answer.
#[test]
fn what_is_not_http_gets_a_4xx_and_a_closed_connection() {
    let site = Site::new(Settings::default());
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let long_url = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(65_536));
    let long_header = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(65_536));
    let table: [(&str, &[u8], &str); 9] = [
        ("64 KB URL", long_url.as_bytes(), "HTTP/1.1 431"),
        ("10,000 headers", many_headers.as_bytes(), "HTTP/1.1 431"),
        ("64 KB header", long_header.as_bytes(), "HTTP/1.1 431"),
        (
            "no request line",
            b"\r\n\r\n\r\nhello\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "BitTorrent",
            b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0",
            "HTTP/1.1 400",
        ),
        ("HTTP/9", b"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("nothing", b"", ""),
    ];
    for (name, bytes, expected) in table {
        let mut client = site.connect();
        client.send_as_far_as_possible(bytes);
        let reply = client.until_closed().escape_ascii().to_string();
        let status: String = reply.chars().take("HTTP/1.1 400".len()).collect();
        assert_eq!(status, expected, "{name}: {reply}");
    }
    assert!(
        site.announce(1, &query(V1, 1)).starts_with("d8:complete"),
        "still up"
    );
    assert_eq!(site.records().len(), 1);
}

/// A byte now and then buys no more time.
#[test]
fn trickling_sender_is_closed() {
    let patience = Patience {
        request: Duration::from_millis(300),
        ..Patience::default()
    };
    let site = Site::with_options(Settings::default(), 100, patience);
    let mut trickling = site.connect();
    trickling.send("GET /announce/");
    trickling.send_until_refused(b"a");
}

/// Nor does saying nothing at all.
#[test]
fn silent_connection_is_closed() {
    let patience = Patience {
        request: Duration::from_millis(200),
        ..Patience::default()
    };
    let site = Site::with_options(Settings::default(), 100, patience);
    assert_eq!(site.connect().until_closed(), b"");
}

#[test]
fn connection_that_nobody_uses_is_closed() {
    let patience = Patience {
        idle: Duration::from_millis(200),
        ..Patience::default()
    };
    let site = Site::with_options(Settings::default(), 100, patience);
    let mut idle = site.connect();
    idle.get("/");
    assert_eq!(idle.until_closed(), b"");
}

#[test]
fn random_bytes_never_end_the_process() {
    let site = Site::new(Settings::default());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200 {
        let bytes: Vec<u8> = (0..round * 7)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        let mut client = site.connect();
        client.send_as_far_as_possible(&[b"GET /announce/".as_slice(), &bytes].concat());
        client.until_closed();
    }
    assert!(site.announce(1, &query(V1, 1)).starts_with("d8:complete"));
}

#[test]
fn slow_sender_is_closed_and_the_others_are_served() {
    let patience = Patience {
        request: Duration::from_millis(200),
        ..Patience::default()
    };
    let site = Site::with_options(Settings::default(), 100, patience);
    let mut slow = site.connect();
    slow.send("GET /announce/");
    assert!(site.announce(1, &query(V1, 1)).starts_with("d8:complete"));
    assert_eq!(slow.until_closed(), b"");
}

#[test]
fn client_that_never_reads_is_closed() {
    let patience = Patience {
        reply: Duration::from_millis(200),
        ..Patience::default()
    };
    let site = Site::with_options(Settings::default(), 100, patience);
    let mut deaf = site.connect();
    // Many requests and no reading: the server's replies fill the socket until it can't send any more.
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1000);
    deaf.send_until_refused(requests.as_bytes());
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let site = Site::with_options(Settings::default(), 2, Patience::default());
    let mut turned_away = 0;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut client = site.connect();
        match client.is_answered("GET / HTTP/1.1\r\n\r\n") {
            true => open.push(client),
            false => turned_away += 1,
        }
    }
    // Two workers with room for one each; the kernel chooses the worker.
    assert!((1..=2).contains(&open.len()), "{} open", open.len());
    assert_eq!(open.len() + turned_away, 20);
}
