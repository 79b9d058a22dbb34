//! `purser doctor`.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use persister::journal::{JournalId, Options, Position, open};
use serde_json::Value;
use tracker_core::accounting::Counters;
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey};

use crate::sandbox::{Run, Sandbox};

const RECORD: Record = Record {
    session: SessionKey {
        user: UserId(1),
        torrent: TorrentId(1),
        peer_id: PeerId([b'p'; 20]),
    },
    counters: Counters {
        uploaded: 0,
        downloaded: 0,
    },
    left: 0,
    role: Role::Seeder,
    in_swarm: true,
    event: Event::Started,
    at: UnixTime(1),
    endpoint: Endpoint::V4([1; 6]),
};

/// Sockets that are free on any machine.
const FREE: &str = "doctor --set tracker.http=127.0.0.1:0 --set tracker.udp=127.0.0.1:0 --set api.listen=127.0.0.1:0 \
                    --set metrics.listen=127.0.0.1:0 --set tracker.max_connections=10";

/// The line about `name`.
fn line<'run>(run: &'run Run, name: &str) -> &'run str {
    let named = |line: &&str| line[4..].trim_start().starts_with(name);
    run.stdout
        .lines()
        .find(named)
        .unwrap_or_else(|| panic!("no line about {name}: {run:?}"))
}

#[test]
fn an_empty_folder_is_healthy_and_stays_empty() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(FREE);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(run.stderr, "");
    assert_eq!(
        line(&run, "data_dir"),
        "ok    data_dir    data: will be created"
    );
    assert_eq!(
        line(&run, "database"),
        "ok    database    sqlite:data/purser.db: will be created"
    );
    assert_eq!(
        line(&run, "journal"),
        "ok    journal     data/journal: will be created"
    );
    assert!(sandbox.files(".").is_empty());

    sandbox.good("create-user --username ann");
    let run = sandbox.run(FREE);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(
        line(&run, "database")
            .starts_with("ok    database    sqlite:data/purser.db: answers, schema up to date"),
        "{run:?}"
    );
}

#[test]
fn what_is_wrong_is_named_and_status_1() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let taken_udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_address = taken_udp.local_addr().unwrap();
    let table = [
        (
            "--set data_dir=/dev/null/x".to_owned(),
            "FAIL  data_dir    /dev/null/x: /dev/null is not a folder",
        ),
        (
            format!("--set metrics.listen={address}"),
            "FAIL  port        metrics.listen ",
        ),
        (
            format!("--set tracker.udp={udp_address}"),
            "FAIL  port        tracker.udp ",
        ),
        (
            "--set redis_url=redis://:geheim@127.0.0.1:1".to_owned(),
            "FAIL  redis       redis://:***@127.0.0.1:1: Connection refused",
        ),
        (
            "--set mail.from=a@example.org --set mail.smtp_url=smtp://u:geheim@127.0.0.1:1?tls=required".to_owned(),
            "FAIL  mail        smtp://u:***@127.0.0.1:1?***: the mail server: ",
        ),
        (
            "--set database_url=postgres://u:geheim@127.0.0.1:1/d".to_owned(),
            "FAIL  database    postgres://u:***@127.0.0.1:1/d: ",
        ),
        (
            "--set tracker.workers=x".to_owned(),
            "FAIL  config      --set tracker.workers: \"x\" is not a whole number",
        ),
    ];
    for (set, expected) in table {
        let run = sandbox.run(&format!("{FREE} {set}"));
        assert_eq!(run.status, Some(1), "{run:?}");
        assert!(
            run.stdout.lines().any(|line| line.starts_with(expected)),
            "{expected}: {run:?}"
        );
        assert!(
            !run.stdout.contains("geheim") && run.stderr.is_empty(),
            "{run:?}"
        );
    }
}

#[test]
fn journal_is_measured_while_a_tracker_has_it() {
    let sandbox = Sandbox::new();
    sandbox.good("create-user --username ann");
    sandbox.write("data/journal.id", "ab".repeat(32));
    let options = Options {
        dir: sandbox.path("data/journal"),
        id: JournalId([0xab; 8]),
        segment_bytes: Options::SEGMENT_BYTES,
        limit_bytes: 1 << 30,
    };
    let (mut writer, _log, _) = open(options, Position(0)).unwrap();
    writer.append(&[RECORD; 3]).unwrap();
    let files = sandbox.files("data/journal");
    let run = sandbox.run(FREE);
    assert_eq!(
        line(&run, "journal"),
        "ok    journal     data/journal: 32 MiB, at most 4096; the database lacks 3 announces"
    );
    assert_eq!(sandbox.files("data/journal"), files);

    let run = sandbox.run(&format!("{FREE} --set persister.journal_limit_mb=1048576"));
    let warning = line(&run, "journal");
    assert!(
        warning.starts_with("warn") && warning.contains("lower persister.journal_limit_mb"),
        "{warning}"
    );
    sandbox.write("data/journal/00000000000000000001.journal.damaged", "x");
    let run = sandbox.run(FREE);
    assert_eq!(run.status, Some(0), "{run:?}");
    let warning = line(&run, "journal");
    assert!(
        warning.starts_with("warn") && warning.contains("(.damaged, .foreign): 1,"),
        "{warning}"
    );
}

#[test]
fn redis_is_asked_whether_it_is_redis() {
    let sandbox = Sandbox::new();
    for (reply, status) in [
        ("+PONG\r\n", 0),
        ("-NOAUTH Authentication required.\r\n", 1),
        ("SSH-2.0\r\n", 1),
    ] {
        let redis = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = redis.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut client, _) = redis.accept().unwrap();
            let mut ping = [0; 6];
            client.read_exact(&mut ping).unwrap();
            assert_eq!(&ping, b"PING\r\n");
            client.write_all(reply.as_bytes()).unwrap();
        });
        let run = sandbox.run(&format!("{FREE} --set redis_url=redis://{address}"));
        assert_eq!(run.status, Some(status), "{reply}: {run:?}");
        server.join().unwrap();
    }
}

#[test]
fn findings_come_as_json_when_asked() {
    let sandbox = Sandbox::new();
    let findings: Vec<Value> =
        serde_json::from_str(&sandbox.good(&format!("{FREE} --json"))).unwrap();
    let names: Vec<_> = findings
        .iter()
        .map(|finding| finding["name"].as_str().unwrap())
        .collect();
    for name in [
        "config",
        "data_dir",
        "token_key",
        "disk",
        "open files",
        "clock",
        "database",
        "journal",
        "port",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert_eq!(findings[0]["status"], "ok");
}
