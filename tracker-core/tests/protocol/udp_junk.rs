//! Packets that must not hurt: from nobody, from elsewhere, from yesterday, of any length. A tracker that answers strangers
//! with more than they sent would be a weapon against whoever's address they wrote on it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tracker_core::ids::UnixTime;
use tracker_core::server::Options;
use tracker_core::settings::Settings;

use crate::support::*;
use crate::udp_client::*;

const NOTHING: [Vec<u8>; 0] = [];

#[test]
fn id_of_another_address_is_not_answered() {
    let site = Site::new(Settings::default());
    let proven = UdpClient::to(site.udp4());
    let elsewhere = UdpClient::unproven_at(Ipv4Addr::new(127, 0, 0, 2).into(), site.udp4());
    let announce = announce(V1, 1).packet(proven.id);
    assert_eq!(elsewhere.answers_to(&announce), NOTHING);
    assert_eq!(elsewhere.answers_to(&scrape(proven.id, &[V1])), NOTHING);
    assert_eq!(site.records(), []);
    // An id is for an address, whatever the port: clients share one behind a NAT, and it may change.
    let neighbour = UdpClient::unproven(site.udp4());
    assert_eq!(neighbour.ask(&announce).len(), 20);
}

#[test]
fn forged_id_is_not_answered() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let forged = (0..64).map(|bit| client.id ^ (1 << bit));
    for id in forged.chain([0, u64::MAX, PROTOCOL]) {
        let packet = announce(V1, 1).packet(id);
        assert_eq!(client.answers_to(&packet), NOTHING, "{id:016x}");
    }
    assert_eq!(site.records(), []);
    let of_another_process = UdpClient::to(Site::new(Settings::default()).udp4()).id;
    let packet = announce(V1, 1).packet(of_another_process);
    assert_eq!(client.answers_to(&packet), NOTHING);
}

#[test]
fn id_lasts_two_minutes_and_an_old_one_gets_less_than_it_sent() {
    static NOW: AtomicU32 = AtomicU32::new(1_800_000_000);
    let later = |secs: u32| NOW.store(1_800_000_000 + secs, Ordering::Relaxed);
    let options = Options {
        clock: || UnixTime(NOW.load(Ordering::Relaxed)),
        ..Options::default()
    };
    let site = Site::with(
        Settings {
            udp_keyless: true,
            track_unregistered: true,
            min_interval_secs: 0,
            ..Settings::default()
        },
        options,
    );
    let client = UdpClient::to(site.udp4());
    let packets = [
        announce(V1, 1).packet(client.id),
        scrape(client.id, &[V1]),
        scrape(client.id, &[]),
    ];
    for age in [0, 60, 120] {
        later(age);
        for packet in &packets {
            assert_eq!(client.answers_to(packet).len(), 1, "{age} s");
        }
    }
    let taken = site.records().len();
    for age in [121, 3600, 65_535] {
        later(age);
        for packet in &packets {
            let replies = client.answers_to(packet);
            assert_eq!(replies.len(), 1, "{age} s");
            assert_eq!(replies[0][..4], [0, 0, 0, 3]);
            assert_eq!(replies[0][4..8], packet[12..16]);
            assert!(replies[0].len() < packet.len());
        }
    }
    let stale = client.announce(&announce(V1, 1));
    assert_eq!(stale, error("anno", "connection id expired: connect again"));
    assert_eq!(site.records().len(), 0, "but for the {taken} before");

    // So old that its time can't be told any more; and from the future.
    for age in [65_536, 65_537, 200_000] {
        later(age);
        assert_eq!(client.answers_to(&packets[0]), NOTHING, "{age} s");
    }
    later(100);
    let future = UdpClient::to(site.udp4());
    later(99);
    assert_eq!(
        future.answers_to(&announce(V1, 1).packet(future.id)),
        NOTHING
    );
}

#[test]
fn short_packet_is_not_answered() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let announce = announce(V1, 1).options(vec![]).packet(client.id);
    for packet in [connect(*b"cccc"), announce.clone()] {
        for length in (0..packet.len()).step_by(3) {
            let cut = &packet[..length];
            if cut.len() != 16 {
                assert_eq!(client.answers_to(cut), NOTHING, "{length} bytes");
            }
        }
    }
    assert_eq!(client.answers_to(&announce[..97]), NOTHING);
    assert_eq!(client.answers_to(&announce).len(), 1);
}

#[test]
fn packet_longer_than_any_announce_is_not_read() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let padded = |length: usize| {
        let mut packet = announce(V1, 1).packet(client.id);
        packet.resize(length, 0);
        packet
    };
    assert_eq!(client.answers_to(&padded(2048)).len(), 1);
    for length in [2049, 4096, 9000, 65_507] {
        assert_eq!(
            client.answers_to(&padded(length)),
            NOTHING,
            "{length} bytes"
        );
    }
}

/// Nothing that isn't asked for by a client.
#[test]
fn unknown_action_is_not_answered() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    for action in [3u32, 4, 255, 1 << 24, u32::MAX] {
        let mut packet = announce(V1, 1).packet(client.id);
        packet[8..12].copy_from_slice(&action.to_be_bytes());
        assert_eq!(client.answers_to(&packet), NOTHING, "{action}");
    }
}

/// A stranger's packet gets nothing, or what a connect gets.
fn expect_no_gain(client: &UdpClient, packet: &[u8]) {
    let replies = client.answers_to(packet);
    let gained: usize = replies.iter().map(Vec::len).sum();
    assert!(
        gained <= packet.len(),
        "{gained} bytes for {}",
        packet.escape_ascii()
    );
    if !replies.is_empty() {
        assert!(
            packet.starts_with(&connect([0; 4])[..12]),
            "{}",
            packet.escape_ascii()
        );
    }
}

#[test]
fn no_flipped_bit_gains_anything() {
    let site = Site::new(Settings::default());
    let client = UdpClient::unproven(site.udp4());
    let packets = [
        connect(*b"cccc"),
        announce(V1, 1).packet(PROTOCOL),
        announce(V1, 1).packet(0),
        scrape(PROTOCOL, &[V1]),
    ];
    for packet in packets {
        for bit in 0..packet.len() * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            expect_no_gain(&client, &packet);
        }
    }
    assert_eq!(site.records(), []);
}

#[test]
fn no_random_packet_gains_anything() {
    let site = Site::new(Settings::default());
    let client = UdpClient::unproven(site.udp4());
    let head = prop_oneof![
        Just(vec![]),
        Just(PROTOCOL.to_be_bytes().to_vec()),
        (any::<u64>(), 0..5u32).prop_map(|(id, action)| {
            [id.to_be_bytes().as_slice(), &action.to_be_bytes()].concat()
        }),
        (0..5u32).prop_map(|action| {
            [PROTOCOL.to_be_bytes().as_slice(), &action.to_be_bytes()].concat()
        }),
    ];
    let rest = prop::collection::vec(any::<u8>(), 0..1600);
    let packets = (head, rest).prop_map(|(head, rest)| [head, rest].concat());
    proptest!(ProptestConfig::with_cases(2000), |(packet in packets)| {
        expect_no_gain(&client, &packet);
    });
    assert_eq!(site.records(), []);
}

/// Whoever has a connection id can send what they like, too.
#[test]
fn no_random_announce_ends_the_worker() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let bytes = prop::collection::vec(any::<u8>(), 0..500);
    proptest!(ProptestConfig::with_cases(2000), |(rest in bytes, action in 1..3u32)| {
        let packet = [&client.id.to_be_bytes()[..], &action.to_be_bytes(), b"tttt", &rest].concat();
        for reply in client.answers_to(&packet) {
            prop_assert_eq!(&reply[4..8], b"tttt");
            prop_assert!(reply.len() <= 256, "{}", reply.escape_ascii());
        }
    });
}
