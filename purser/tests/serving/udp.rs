//! Announces over UDP (BEP 15, BEP 41), by the program.

use std::net::{Ipv4Addr, UdpSocket};

use crate::site::{Database, PATIENCE, Server, Site, until};

on_both_databases!(
    announces_over_udp_are_counted_and_survive_kill_9,
    one_session_over_both_protocols_is_counted_once,
);

/// Actions of BEP 15.
const CONNECTED: &[u8] = &[0, 0, 0, 0];
const ANNOUNCED: &[u8] = &[0, 0, 0, 1];
const ERROR: &[u8] = &[0, 0, 0, 3];

/// Events of BEP 15.
const NONE: u32 = 0;
const STARTED: u32 = 2;
const STOPPED: u32 = 3;

/// A client with a connection id, and what it announces.
struct Client {
    socket: UdpSocket,
    connection_id: [u8; 8],
    hash: [u8; 20],
    url: String,
    port: u16,
}

impl Client {
    fn new(server: &Server, hash: &str, url: String, port: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = server.banner["udp"].as_str().unwrap();
        let tracker_port = to.strip_prefix("udp://localhost:").unwrap();
        let tracker_port = tracker_port.strip_suffix("/announce/{key}").unwrap();
        let tracker_port: u16 = tracker_port.parse().unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, tracker_port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let digits = hash.replace('%', "");
        let mut client = Self {
            socket,
            connection_id: [0; 8],
            hash: std::array::from_fn(|at| {
                u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()
            }),
            url,
            port,
        };
        let protocol = 0x0417_2710_1980_u64.to_be_bytes();
        let reply = client.ask(&[protocol.as_slice(), &[0; 4], b"tttt"].concat());
        assert!(reply.starts_with(CONNECTED), "{}", reply.escape_ascii());
        client.connection_id.copy_from_slice(&reply[8..16]);
        client
    }

    fn ask(&self, packet: &[u8]) -> Vec<u8> {
        self.socket.send(packet).unwrap();
        let mut reply = [0; 2048];
        let length = self.socket.recv(&mut reply).unwrap();
        assert_eq!(reply[4..8], *b"tttt");
        reply[..length].to_vec()
    }

    fn announce(&self, event: u32, uploaded: u64, left: u64) -> Vec<u8> {
        let peer_id = format!("-XX0001-{:012}", self.port);
        let packet = [
            self.connection_id.as_slice(),
            &1u32.to_be_bytes(),
            b"tttt",
            &self.hash,
            peer_id.as_bytes(),
            &0u64.to_be_bytes(),
            &left.to_be_bytes(),
            &uploaded.to_be_bytes(),
            &event.to_be_bytes(),
            &[0; 8],
            &(-1i32).to_be_bytes(),
            &self.port.to_be_bytes(),
            &[2, u8::try_from(self.url.len()).unwrap()],
            self.url.as_bytes(),
        ];
        self.ask(&packet.concat())
    }

    /// Until the tracker has heard of the member and the torrent.
    fn announce_when_known(&self, event: u32, uploaded: u64, left: u64) -> Vec<u8> {
        until(|| {
            let reply = self.announce(event, uploaded, left);
            reply.starts_with(ANNOUNCED).then_some(reply)
        })
    }
}

fn announces_over_udp_are_counted_and_survive_kill_9(database: Database) {
    let site = Site::new(database);
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    let server = site.start("serve");
    let client = Client::new(&server, &hash, format!("/announce/{ann}"), 1001);
    client.announce_when_known(STARTED, 0, 0);
    let regular = client.announce(NONE, 500, 0);
    assert!(regular.starts_with(ANNOUNCED), "{}", regular.escape_ascii());
    let stopped = client.announce(STOPPED, 700, 0);
    assert!(stopped.starts_with(ANNOUNCED), "{}", stopped.escape_ascii());
    server.kill();

    let server = site.start("serve");
    until(|| (site.uploaded("ann") == 700).then_some(()));
    // An id of the process before is worth nothing: it isn't answered, and a new one can be had.
    let client = Client::new(&server, &hash, format!("/{ann}/announce"), 1001);
    client.announce_when_known(STARTED, 0, 0);
    server.stop();
    assert_eq!(site.uploaded("ann"), 700);
}

fn one_session_over_both_protocols_is_counted_once(database: Database) {
    let site = Site::new(database);
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    let server = site.start_with("serve", &[("PURSER__TRACKER__MIN_INTERVAL_SECS", "0")]);
    let client = Client::new(&server, &hash, format!("/announce/{ann}"), 1001);
    client.announce_when_known(STARTED, 0, 0);
    for uploaded in [100, 200, 300] {
        let over_http = format!("uploaded={uploaded}&downloaded=0&left=0");
        server.announce(&ann, &hash, 1001, &over_http);
        client.announce(NONE, uploaded, 0);
        client.announce(NONE, uploaded + 50, 0);
    }
    server.stop();
    assert_eq!(site.uploaded("ann"), 350);
    let sessions: Vec<(i64,)> = site.rows("select count(*) from sessions");
    assert_eq!(sessions, [(1,)]);
}

#[test]
fn metrics_tell_udp_from_http() {
    let site = Site::new(Database::Sqlite);
    let (ann, hash) = (site.create_user("ann"), site.add_torrent());
    let server = site.start("serve");
    let client = Client::new(&server, &hash, format!("/announce/{ann}"), 1001);
    client.announce_when_known(STARTED, 0, 0);
    client.announce(NONE, 1, 0);
    client.socket.send(b"junk").unwrap();
    let mut scrape = [
        client.connection_id.as_slice(),
        &2u32.to_be_bytes(),
        b"tttt",
    ]
    .concat();
    scrape.extend_from_slice(&client.hash);
    assert!(client.ask(&scrape).starts_with(ERROR));
    scrape[0] ^= 1;
    client.socket.send(&scrape).unwrap();
    client.announce(NONE, 1, 0);
    let promised = [
        "purser_announces_total{protocol=\\\"udp\\\",event=\\\"started\\\",outcome=\\\"answered\\\"} 1",
        "purser_announces_total{protocol=\\\"udp\\\",event=\\\"none\\\",outcome=\\\"warned\\\"} 2",
        "purser_announces_total{protocol=\\\"http\\\",event=\\\"none\\\",outcome=\\\"warned\\\"} 0",
        "purser_scrapes_total{protocol=\\\"udp\\\",outcome=\\\"refused\\\"} 1",
        "purser_refusals_total{reason=\\\"keyless_scrape\\\"} 1",
        "purser_announce_seconds_bucket{protocol=\\\"udp\\\"",
        "purser_udp_dropped_total{reason=\\\"short\\\"} 1",
        "purser_udp_dropped_total{reason=\\\"forged_connection_id\\\"} 1",
        "purser_udp_dropped_total{reason=\\\"stale_connection_id\\\"} 0",
        "purser_udp_dropped_total{reason=\\\"too_many_promises\\\"} 0",
    ];
    // A worker tells of its counts when it rests.
    let missing = |metrics: &str| promised.into_iter().find(|line| !metrics.contains(line));
    until(|| {
        missing(&server.get("metrics", "/metrics").1)
            .is_none()
            .then_some(())
    });
    server.stop();
}

#[test]
fn udp_is_off_when_no_socket_is_named() {
    let site = Site::new(Database::Sqlite);
    let server = site.start_with("serve", &[("PURSER__TRACKER__UDP", "")]);
    assert!(server.banner["udp"].is_null(), "{}", server.banner);
    assert!(server.banner["announce"].is_string());
    server.stop();
}

#[test]
fn tracker_may_be_open_to_clients_without_a_key() {
    let site = Site::new(Database::Sqlite);
    let keyless = "[tracker]\ntorrents = \"any\"\nudp_keyless = true\n";
    site.write("config.toml", keyless);
    let hash = site.add_torrent();
    let server = site.start("serve");
    let client = |hash: &str, port| Client::new(&server, hash, "/announce".to_owned(), port);
    let unregistered = "%55".repeat(20);
    assert_eq!(
        client(&unregistered, 1001).announce(STARTED, 0, 9).len(),
        20
    );
    assert_eq!(
        client(&unregistered, 1002).announce(STARTED, 0, 9).len(),
        26
    );
    assert!(
        client(&hash, 1001)
            .announce(STARTED, 0, 9)
            .starts_with(ERROR)
    );
    server.stop();
    let sessions: Vec<(i64,)> = site.rows("select count(*) from sessions");
    assert_eq!(sessions, [(0,)]);
}
