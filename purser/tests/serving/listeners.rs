//! What the other listeners say: health, metrics, problems; and ports that can't be had.

use std::net::{Ipv6Addr, TcpListener, UdpSocket};

use crate::site::{Database, Site, until};

#[test]
fn every_promised_metric_is_there() {
    let site = Site::new(Database::Sqlite);
    let server = site.start("serve");
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    server.announce_when_known(
        &ann,
        &hash,
        1001,
        "uploaded=0&downloaded=0&left=6&event=started",
    );
    server.announce(
        &ann,
        &hash,
        1001,
        "uploaded=5&downloaded=6&left=0&event=completed",
    );
    server.announce(&ann, &hash, 1001, "uploaded=-5&downloaded=6&left=0");
    let metrics = until(|| {
        let metrics = server.get("metrics", "/metrics").1;
        // They are counted one after the other.
        let is_all_there = [
            "purser_credit_bytes_total{direction=\\\"uploaded\\\"} 5",
            "purser_credit_bytes_total{direction=\\\"downloaded\\\"} 6",
            "purser_persisted_records_total 2",
        ]
        .iter()
        .all(|counted| metrics.contains(counted));
        is_all_there.then_some(metrics)
    });
    for promised in [
        "purser_announces_total{protocol=\\\"http\\\",event=\\\"started\\\",outcome=\\\"answered\\\"} 1",
        "purser_announces_total{protocol=\\\"http\\\",event=\\\"completed\\\",outcome=\\\"answered\\\"} 1",
        "purser_refusals_total{reason=\\\"bad_query\\\"} 1",
        "purser_scrapes_total",
        "purser_announce_seconds_bucket",
        "purser_peers{role=\\\"seeder\\\"} 1",
        "purser_torrents 1",
        "purser_connections ",
        "purser_persist_lag_seconds",
        "purser_persisted_records_total 2",
        "purser_flush_seconds_bucket",
        "purser_credit_bytes_total{direction=\\\"downloaded\\\"} 6",
    ] {
        assert!(
            metrics.contains(promised),
            "{promised}: {}",
            metrics.replace("\\n", "\n")
        );
    }
    assert_eq!(server.get("metrics", "/livez").1, "ok\\n");
    assert_eq!(server.get("metrics", "/readyz").1, "ready\\n");
    server.stop();
}

/// An alert on a metric that isn't there never fires.
#[test]
fn alert_rules_ask_for_metrics_that_are_there() {
    let site = Site::new(Database::Sqlite);
    let server = site.start("serve");
    let metrics = server.get("metrics", "/metrics").1;
    let rules = include_str!("../../../deploy/prometheus/alerts.yml");
    let expressions: Vec<_> = rules
        .lines()
        .filter(|line| line.contains("expr: "))
        .collect();
    assert!(expressions.len() > 5, "{expressions:?}");
    for expression in expressions {
        let mut words = expression.split(|c: char| c != '_' && !c.is_ascii_lowercase());
        let metric = words.find(|word| word.starts_with("purser_")).unwrap();
        assert!(
            metrics.contains(&format!("\\n{metric} ")),
            "{metric}: {metrics}"
        );
    }
}

#[test]
fn api_answers_health_and_problems() {
    let site = Site::new(Database::Sqlite);
    let server = site.start("serve");
    for path in ["/api/logs/health", "/api/logs/health/"] {
        let (status, body) = server.get("api", path);
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(body.contains("\\\"status\\\":\\\"ok\\\""), "{body}");
    }
    let (_, body) = server.get("api", "/api/");
    assert!(body.contains("/api/logs/health/"), "{body}");
    let (status, body) = server.get("api", "/api/nothing/");
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(
        body.contains("\\\"type\\\":\\\"/problems/not-found\\\""),
        "{body}"
    );
    server.stop();
}

#[test]
fn host_that_is_not_allowed_is_turned_away() {
    let site = Site::new(Database::Sqlite);
    site.write("config.toml", "[api]\nallowed_hosts = [\"site.example\"]\n");
    let server = site.start("serve");
    assert_eq!(
        server.get("api", "/api/logs/health/").0,
        "HTTP/1.1 421 Misdirected Request"
    );
    server.stop();
}

#[test]
fn taken_port_is_one_clear_line_and_nothing_half_done() {
    let taken = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let taken_udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let udp_address = taken_udp.local_addr().unwrap().to_string();
    for (variable, key, address) in [
        ("PURSER__TRACKER__HTTP", "tracker.http", &address),
        ("PURSER__TRACKER__UDP", "tracker.udp", &udp_address),
        ("PURSER__API__LISTEN", "api.listen", &address),
        ("PURSER__METRICS__LISTEN", "metrics.listen", &address),
    ] {
        let site = Site::new(Database::Sqlite);
        let line = site.run_badly("serve", &[(variable, address)]);
        assert_eq!(
            line,
            format!("purser: {key}: {address} is taken by another program")
        );
        assert!(
            !site.path().join("data/purser.db").exists(),
            "no database yet"
        );
    }
}

#[test]
fn another_tracker_cannot_share_the_announce_port() {
    let (first, second) = (Site::new(Database::Sqlite), Site::new(Database::Sqlite));
    let server = first.start("serve");
    let url = server.banner["announce"].as_str().unwrap();
    let port = url.split(':').nth(2).unwrap().split('/').next().unwrap();
    let line = second.run_badly(
        "serve",
        &[("PURSER__TRACKER__HTTP", &format!("[::]:{port}"))],
    );
    assert!(line.contains("is taken by another program"), "{line}");
    server.stop();
}

#[test]
fn unreachable_database_is_one_clear_line() {
    let site = Site::new(Database::Sqlite);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("postgres://purser:hush@{nobody}/purser");
    let line = site.run_badly("serve", &[("DATABASE_URL", &url)]);
    assert!(
        line.contains(&nobody.to_string()) && !line.contains("hush"),
        "{line}"
    );
}
