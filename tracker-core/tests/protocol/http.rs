//! HTTP/1.x as clients, proxies and careless scripts speak it.

use tracker_core::settings::Settings;

use crate::support::*;

fn get(version: &str, headers: &str) -> String {
    format!(
        "GET /announce/{}?{} {version}\r\n{headers}\r\n",
        key(1),
        query(V1, 1)
    )
}

#[test]
fn connection_is_kept_alive() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    for _ in 0..3 {
        client.send(get("HTTP/1.1", "Host: t\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status(), "HTTP/1.1 200 OK");
        assert!(reply.text().starts_with("d8:complete"));
    }
}

#[test]
fn connection_is_closed_when_the_client_says_so() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    client.send(get("HTTP/1.1", "Connection: close\r\n"));
    let reply = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    client.send(get("HTTP/1.1", "") + "GET /nowhere HTTP/1.1\r\n\r\n" + &get("HTTP/1.1", ""));
    let starts = ["d8:complete", "d14:failure reason", "d8:complete"];
    for start in starts {
        let reply = client.reply();
        assert!(reply.text().starts_with(start), "{start}: {}", reply.text());
    }
}

#[test]
fn request_may_come_byte_by_byte() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    for byte in get("HTTP/1.1", "Host: t\r\n").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.reply().status(), "HTTP/1.1 200 OK");
}

#[test]
fn http_1_0_and_an_absent_host_are_fine() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    client.send(get("HTTP/1.0", ""));
    let reply = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(
        reply.starts_with("HTTP/1.0 200 OK"),
        "closed after one reply: {reply}"
    );

    let mut client = site.connect();
    client.send(get("HTTP/1.0", "Connection: keep-alive\r\n"));
    assert!(client.reply().head.contains("keep-alive"));
    client.send(get("HTTP/1.0", ""));
    client.reply();
}

#[test]
fn head_has_no_body_and_counts_nothing() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    client.send(get("HTTP/1.1", "").replacen("GET", "HEAD", 1));
    assert_eq!(client.reply_to_head().status(), "HTTP/1.1 200 OK");
    // The next reply on this connection starts right where the head ended.
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.reply().status(), "HTTP/1.1 200 OK");
    assert_eq!(site.records(), []);
}

#[test]
fn post_is_refused_kindly_and_counts_nothing() {
    let site = Site::new(Settings::default());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let mut client = site.connect();
        client.send(get("HTTP/1.1", "Content-Length: 3\r\n").replacen("GET", method, 1) + "abc");
        let reply = client.reply();
        assert_eq!(reply.status(), "HTTP/1.1 200 OK");
        assert_eq!(
            reply.text(),
            failure("only GET is understood here", "5:never")
        );
    }
    assert_eq!(site.records(), []);
}

#[test]
fn other_paths_say_what_this_is() {
    let site = Site::new(Settings::default());
    for path in ["/", "/favicon.ico", "/stats", "/a/b/c", "/announces/x", "*"] {
        let reply = site.get(path);
        assert_eq!(reply.status(), "HTTP/1.1 200 OK", "{path}");
        assert!(
            reply
                .text()
                .starts_with("d14:failure reason51:not an announce URL"),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn connect_is_no_proxy() {
    let site = Site::new(Settings::default());
    let mut client = site.connect();
    client.send("CONNECT example.org:443 HTTP/1.1\r\n\r\n");
    assert_eq!(client.reply().status(), "HTTP/1.1 405 Method Not Allowed");
}
