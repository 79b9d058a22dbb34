#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use clap::Parser;
use persister::recorder::Recorder;
use tracker_core::record::Role;
use tracker_core::server::{Listener, Options, Server};

use super::junk::{Junk, junk};
use super::outcome::Outcome;
use super::run::{self, Http, Udp};
use crate::floor::{self, Floor, Kind};
use crate::ledger::records;
use crate::site::Site;

/// Seed 0: the site's passkeys and info hashes are those of [`Site`].
const SMALL: &str =
    "--seed 0 --members 60 --torrents 10 --sessions 60 --duration 200ms --warmup 50ms";

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli<T: clap::Args> {
    #[command(flatten)]
    options: T,
}

fn options<T: clap::Args>(target: SocketAddr, words: &str) -> T {
    let line = format!("load --target {target} {words}");
    Cli::parse_from(line.split_ascii_whitespace()).options
}

fn http(target: SocketAddr, words: &str) -> anyhow::Result<Outcome> {
    run::http(&options::<Http>(
        target,
        &format!("{SMALL} --connections 4 {words}"),
    ))
}

fn udp(target: SocketAddr, words: &str) -> anyhow::Result<Outcome> {
    run::udp(&options::<Udp>(
        target,
        &format!("{SMALL} --sockets 2 --outstanding 3 {words}"),
    ))
}

fn figure(outcome: &Outcome, path: &str) -> f64 {
    let value = outcome.figures.pointer(path);
    value
        .and_then(|value| value.as_f64())
        .unwrap_or_else(|| panic!("no {path}: {}", outcome.figures))
}

fn no_failures(outcome: &Outcome) {
    let failures = outcome.failures.by_reason();
    assert!(failures.is_empty(), "{failures:?}");
}

fn start_floor(kind: Kind, body_bytes: usize) -> Floor {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Floor::start(&floor::Options {
        kind,
        listen,
        body_bytes,
        workers: 1,
    })
    .unwrap()
}

/// The real thing: Purser's announce side with its journal, and a site of ten torrents.
struct Tracker {
    site: Site,
    server: Server,
    recorder: Recorder,
    http: SocketAddr,
    udp: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Tracker {
    fn start() -> Self {
        let site = Site::zipf(10, 240);
        let folder = tempfile::tempdir().unwrap();
        let (writer, log) = records::open(folder.path()).unwrap();
        let tracker = &site.tracker;
        let recorder =
            Recorder::start(Arc::clone(tracker), writer, log, Duration::from_secs(1)).unwrap();
        let anywhere = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let listener = Listener::bind(&Options {
            http: anywhere.clone(),
            udp: anywhere,
            ..Options::default()
        })
        .unwrap();
        Self {
            http: listener.http()[0],
            udp: listener.udp()[0],
            server: listener.serve(tracker).unwrap(),
            recorder,
            _folder: folder,
            site,
        }
    }

    fn stop(self) -> Site {
        self.server.stop();
        self.recorder.stop().unwrap();
        self.site
    }
}

#[test]
fn floors_answer_as_many_bytes_as_they_are_told() {
    for (kind, bytes) in [(Kind::Hyper, 311), (Kind::Tokio, 240)] {
        let floor = start_floor(kind, bytes);
        let pid = std::process::id();
        let outcome = http(floor.address, &format!("--server-pid {pid}")).unwrap();
        no_failures(&outcome);
        assert_eq!(figure(&outcome, "/body_bytes_per_reply"), bytes as f64);
        assert!(figure(&outcome, "/by_ask/plain") > 0.0);
        assert!(figure(&outcome, "/server_cpu_per_request/floor/us") > 0.0);
        floor.stop().unwrap();
    }
}

#[test]
fn udp_floor_answers_announces_and_junk() {
    let floor = start_floor(Kind::Udp, 200);
    let outcome = udp(floor.address, "").unwrap();
    no_failures(&outcome);
    assert_eq!(figure(&outcome, "/peers_per_announce"), 30.0);
    let outcome = junk(&options::<Junk>(
        floor.address,
        "--rate 5000 --duration 100ms",
    ))
    .unwrap();
    assert!(figure(&outcome, "/junk/sent") > 0.0);
    floor.stop().unwrap();
}

#[test]
fn purser_answers_every_kind_of_request() {
    let tracker = Tracker::start();
    for keys in ["tokens", "passkeys"] {
        let mix = "--mix plain=60,started=10,stopped=10,completed=10,scrape=10";
        let outcome = http(tracker.http, &format!("--keys {keys} {mix}")).unwrap();
        no_failures(&outcome);
        for ask in ["plain", "started", "stopped", "completed", "scrape"] {
            assert!(figure(&outcome, &format!("/by_ask/{ask}")) > 0.0, "{ask}");
        }
        assert!(figure(&outcome, "/peers_per_announce") > 1.0);
    }
    tracker.stop();
}

#[test]
fn purser_answers_over_udp() {
    let tracker = Tracker::start();
    for keys in ["tokens", "passkeys"] {
        let mix = "--mix plain=70,started=10,stopped=10,completed=10";
        let outcome = udp(tracker.udp, &format!("--keys {keys} {mix}")).unwrap();
        no_failures(&outcome);
        assert!(figure(&outcome, "/peers_per_announce") > 1.0);
    }
    let outcome = junk(&options::<Junk>(
        tracker.udp,
        "--rate 5000 --duration 100ms",
    ))
    .unwrap();
    assert!(figure(&outcome, "/junk/reached") > 0.0);
    tracker.stop();
}

#[test]
fn sessions_are_what_the_swarms_get() {
    let tracker = Tracker::start();
    let peers = |site: &Site| {
        let of = |role| site.tracker.swarms.peers(role);
        of(Role::Leecher) + of(Role::Seeder)
    };
    let before = peers(&tracker.site);
    no_failures(&http(tracker.http, "--duration 0s").unwrap());
    assert_eq!(peers(&tracker.stop()) - before, 60);
}

#[test]
fn refusals_are_failures() {
    let tracker = Tracker::start();
    // Another seed: nobody knows these keys and torrents.
    for outcome in [
        http(tracker.http, "--seed 1 --keys passkeys --duration 0s").unwrap(),
        udp(tracker.udp, "--seed 1 --keys passkeys --duration 0s").unwrap(),
    ] {
        assert_eq!(outcome.failures.total(), 60);
        let mut reasons = outcome.failures.by_reason().keys();
        assert!(reasons.all(|reason| reason.starts_with("failure reason: ")));
    }
    tracker.stop();
}

#[test]
fn idle_connections_stay_open() {
    let tracker = Tracker::start();
    let pid = std::process::id();
    let outcome = http(tracker.http, &format!("--idle 50 --server-pid {pid}")).unwrap();
    no_failures(&outcome);
    assert_eq!(figure(&outcome, "/idle/connections"), 50.0);
    tracker.stop();
}

/// A server of few words: each connection's first `answers` requests are answered with `reply`, after a pause before one of
/// them; then it hangs up.
fn stub(reply: Vec<u8>, answers: usize, pause: Option<(usize, Duration)>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // Lives as long as the test's process does.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, reply) = (socket.unwrap(), reply.clone());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                for number in 0..answers {
                    if !matches!(socket.read(&mut buffer), Ok(1..)) {
                        return;
                    }
                    if let Some((_, time)) = pause.filter(|(at, _)| *at == number) {
                        sleep(time);
                    }
                    if socket.write_all(&reply).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn good_reply() -> Vec<u8> {
    let body = floor::body::announce(240).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

#[test]
fn reply_cut_short_is_noticed() {
    let reply = good_reply();
    let server = stub(reply[..reply.len() - 1].to_vec(), 1, None);
    let outcome = http(server, "--duration 0s").unwrap();
    assert_eq!(outcome.failures.by_reason()["the server hung up"], 60);
}

#[test]
fn hopeless_server_ends_the_run() {
    let server = stub(
        b"HTTP/1.1 500 Sorry\r\ncontent-length: 0\r\n\r\n".to_vec(),
        1,
        None,
    );
    let error = http(server, "--no-fill --duration 60s").unwrap_err();
    assert!(error.to_string().contains("status 500"), "{error}");
}

/// A second of standing still, in which 200 requests were due: their latency is from then, and the server, once it goes on,
/// answers each of them at once.
#[test]
fn latency_counts_from_when_a_request_was_due() {
    let server = stub(good_reply(), 100_000, Some((20, Duration::from_secs(1))));
    let words = "--no-fill --connections 1 --rate 200 --warmup 0s --duration 1500ms";
    let outcome = http(server, words).unwrap();
    no_failures(&outcome);
    assert_eq!(figure(&outcome, "/replies"), 300.0);
    assert!(
        figure(&outcome, "/latency_us/p50") > 100_000.0,
        "{}",
        outcome.figures
    );
    assert!(
        figure(&outcome, "/service_us/p50") < 100_000.0,
        "{}",
        outcome.figures
    );
    assert!(
        figure(&outcome, "/service_us/max") > 900_000.0,
        "{}",
        outcome.figures
    );
}
