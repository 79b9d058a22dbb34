//! What an announce asks of the allocator. A program of its own, as it counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tracker_core::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::server::{Listener, Options};
use tracker_core::settings::Settings;
use tracker_core::tracker::{Outcome, Scratch, Tracker};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PEERS: u32 = 50;
const ANNOUNCES: usize = 1_000;
const NOW: UnixTime = UnixTime(1_800_000_000);

fn site() -> (Arc<Tracker>, Vec<(String, String)>) {
    let key = TokenKey::from_bytes([7; 32]);
    let settings = Settings {
        min_interval_secs: 0,
        ..Settings::default()
    };
    let tracker = Tracker::new(key.clone(), settings);
    tracker.swarms.put_torrent(&RegisteredTorrent {
        id: TorrentId(1),
        info_hash: InfoHash(*b"aaaaaaaaaaaaaaaaaaaa"),
        info_hash_v2: None,
        status: TorrentStatus::Open,
        completed: 0,
    });
    let asks = (1..=PEERS).map(|id| {
        tracker.roster.put_member(Member {
            id: UserId(id),
            status: MemberStatus::Active,
            class: UserClass::Newbie,
            leech: LeechRights::Free,
            passkey: None,
        });
        let token = Token {
            id: TokenId(id),
            user: UserId(id),
            torrent: None,
            expires_at: None,
        };
        let query = format!(
            "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-qB4650-%20%21{id:010}&port={}&uploaded=7340032000\
             &downloaded=1468006400&left=1&corrupt=0&key=1A2B3C4D&numwant=30&compact=1&no_peer_id=1",
            20_000 + id
        );
        (key.sign(&token), query)
    });
    let asks = asks.collect();
    (Arc::new(tracker), asks)
}

/// One test, as two would count each other's.
#[test]
fn an_announce_allocates_nothing_and_its_http_request_once() {
    let (tracker, asks) = site();
    let mut asks = asks.iter().cycle();
    let mut buffer = Vec::new();

    let mut scratch = Scratch::new();
    let mut announce = |count: usize| {
        for _ in 0..count {
            let Some((key, query)) = asks.next() else {
                return;
            };
            let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let announced = tracker.announce(
                Some(key.as_bytes()),
                query.as_bytes(),
                from,
                NOW,
                &mut scratch,
            );
            assert_eq!(announced.outcome, Outcome::Answered);
            assert!(announced.is_recorded);
        }
        tracker.outbox.drain(&mut buffer, |_| {});
    };
    // Everyone comes, and everything that is used again gets its size: the outbox's lanes hand their buffers on.
    (0..20).for_each(|_| announce(ANNOUNCES));
    let region = Region::new(ALLOCATOR);
    announce(ANNOUNCES);
    assert_eq!(region.change().allocations, 0, "{:?}", region.change());

    let listener = Listener::bind(&Options {
        http: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        udp: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        workers: 1,
        ..Options::default()
    })
    .unwrap();
    let mut socket = TcpStream::connect(listener.http()[0]).unwrap();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    udp.connect(listener.udp()[0]).unwrap();
    let server = listener.serve(&tracker).unwrap();
    let requests: Vec<_> = asks
        .by_ref()
        .take(PEERS as usize)
        .map(|(key, query)| {
            format!(
                "GET /announce/{key}?{query} HTTP/1.1\r\nHost: 127.0.0.1:6969\r\n\
                 User-Agent: qBittorrent/4.6.5\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n"
            )
        })
        .collect();
    let mut ask = |count: usize| {
        let mut reply = [0; 4096];
        for request in requests.iter().cycle().take(count) {
            socket.write_all(request.as_bytes()).unwrap();
            let length = socket.read(&mut reply).unwrap();
            assert!(reply[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(!reply[..length].windows(7).any(|word| word == b"failure"));
        }
        tracker.outbox.drain(&mut buffer, |_| {});
    };
    ask(ANNOUNCES);
    let region = Region::new(ALLOCATOR);
    ask(ANNOUNCES);
    let change = region.change();
    let per_announce = (change.allocations + change.reallocations) as f64 / ANNOUNCES as f64;
    println!("{per_announce} allocations a request");
    // The reply's body; and hyper's read buffer, which lasts for some twenty requests.
    assert!(per_announce < 1.2, "{per_announce}: {change:?}");

    let packets: Vec<_> = asks
        .take(PEERS as usize)
        .map(|(key, query)| (udp_announce(&udp, key, query), b"junk".as_slice()))
        .collect();
    let mut ask = |count: usize| {
        let mut reply = [0; 4096];
        for (packet, junk) in packets.iter().cycle().take(count) {
            udp.send(junk).unwrap();
            udp.send(packet).unwrap();
            let length = udp.recv(&mut reply).unwrap();
            assert_eq!(reply[..8], *b"\0\0\0\x01tttt");
            assert!(length > 20);
        }
        tracker.outbox.drain(&mut buffer, |_| {});
    };
    (0..20).for_each(|_| ask(ANNOUNCES));
    let region = Region::new(ALLOCATOR);
    ask(ANNOUNCES);
    assert_eq!(region.change().allocations, 0, "{:?}", region.change());
    drop(socket);
    server.stop();
}

/// The same announce over UDP (BEP 15, BEP 41), with a connection id.
fn udp_announce(socket: &UdpSocket, key: &str, query: &str) -> Vec<u8> {
    let protocol = 0x0417_2710_1980_u64.to_be_bytes();
    socket
        .send(&[&protocol[..], &[0; 4], b"tttt"].concat())
        .unwrap();
    let mut connected = [0; 16];
    socket.recv(&mut connected).unwrap();
    let number = query.split("port=2").nth(1).unwrap()[..4]
        .parse::<u16>()
        .unwrap();
    let url = format!("/announce/{key}");
    [
        &connected[8..],
        &[0, 0, 0, 1],
        b"tttt",
        b"aaaaaaaaaaaaaaaaaaaa",
        format!("-qB4650- !{number:010}").as_bytes(),
        &0u64.to_be_bytes(),
        &1u64.to_be_bytes(),
        &0u64.to_be_bytes(),
        &[0; 12],
        &(-1i32).to_be_bytes(),
        &(20_000 + number).to_be_bytes(),
        &[2, u8::try_from(url.len()).unwrap()],
        url.as_bytes(),
    ]
    .concat()
}
