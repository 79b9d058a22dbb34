//! `udp_keyless`: clients without a key, on torrents that nobody has registered.

use std::net::Ipv4Addr;

use tracker_core::ids::{InfoHash, TorrentId};
use tracker_core::registry::{RegisteredTorrent, TorrentStatus};
use tracker_core::settings::Settings;

use crate::support::*;
use crate::udp_client::*;

fn site() -> Site {
    Site::new(Settings {
        track_unregistered: true,
        udp_keyless: true,
        max_peers_per_torrent_per_user: 1,
        ..Settings::default()
    })
}

fn keyless(hash: InfoHash, number: u16) -> Announce {
    announce(hash, number).options(url("/announce"))
}

/// `seeders`, `completed`, `leechers` of each.
fn counts(reply: &[u8]) -> Vec<[u32; 3]> {
    assert_eq!(reply[..8], *b"\0\0\0\x02scrp", "{}", reply.escape_ascii());
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let torrents = reply[8..].chunks_exact(12);
    assert!(torrents.remainder().is_empty());
    torrents
        .map(|torrent| [&torrent[..4], &torrent[4..8], &torrent[8..]].map(number))
        .collect()
}

/// Also those behind one address, of whom a member may have one only.
#[test]
fn clients_without_a_key_find_each_other() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    let first = client.ask(&keyless(UNREGISTERED, 1).packet(client.id));
    assert_eq!(first.len(), 20);
    for (number, options) in [(2, url("/announce")), (3, vec![]), (4, url("/"))] {
        let announce = keyless(UNREGISTERED, number).options(options);
        let reply = client.ask(&announce.packet(client.id));
        assert_eq!(reply.len(), 20 + 6 * usize::from(number - 1), "{number}");
    }
    assert_eq!(site.records(), [], "there is no account for it");
    // A member who comes with a key meets them.
    let over_http = site.announce(1, &query(UNREGISTERED, 5));
    assert!(over_http.contains("10:incompletei5e"), "{over_http}");
    assert!(over_http.contains("5:peers24:"), "{over_http}");
}

#[test]
fn clients_leave_and_come_back_in_their_own_place() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    client.announce(&keyless(UNREGISTERED, 1));
    let again = Announce {
        peer_id: [b'r'; 20],
        ..keyless(UNREGISTERED, 1).seeder()
    };
    client.announce(&again);
    assert_eq!(counts(&client.scrape(&[UNREGISTERED])), [[1, 0, 0]]);
    // Nobody else can send it away, not even by its peer id.
    let mut elsewhere = UdpClient::unproven_at(Ipv4Addr::new(127, 0, 0, 2).into(), site.udp4());
    elsewhere.connect();
    elsewhere.announce(&again.clone().event(STOPPED));
    assert_eq!(counts(&client.scrape(&[UNREGISTERED])), [[1, 0, 0]]);
    client.announce(&again.event(STOPPED));
    assert_eq!(counts(&client.scrape(&[UNREGISTERED])), [[0, 0, 0]]);
}

#[test]
fn registered_torrent_still_wants_a_key() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    let missing = "missing key: copy your announce URL from the site again";
    for hash in [V1, V2, PENDING, CLOSED] {
        assert_eq!(client.announce(&keyless(hash, 1)), error("anno", missing));
    }
    client.announce(&announce(V1, 1));
    assert_eq!(site.records().len(), 1);
    // And a key that is there has to be right, whatever the torrent.
    let wrong = announce(UNREGISTERED, 1).options(url(&format!("/announce/{}", "f".repeat(32))));
    let unknown = "unknown key: copy your announce URL from the site again";
    assert_eq!(client.announce(&wrong), error("anno", unknown));
}

#[test]
fn without_the_setting_there_is_no_way_in() {
    let site = Site::new(Settings {
        track_unregistered: true,
        ..Settings::default()
    });
    let client = UdpClient::to(site.udp4());
    let missing = "missing key: copy your announce URL from the site again";
    assert_eq!(
        client.announce(&keyless(UNREGISTERED, 1)),
        error("anno", missing)
    );
    assert!(
        client
            .announce(&announce(UNREGISTERED, 1))
            .starts_with("\\x00\\x00\\x00\\x01")
    );
}

/// BEP 15: in the order asked for. What isn't there, or isn't for everybody, has zeros.
#[test]
fn scrape_answers_in_the_order_asked_for() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    let other = InfoHash([b'O'; 20]);
    client.announce(&keyless(UNREGISTERED, 1));
    client.announce(&keyless(UNREGISTERED, 2));
    client.announce(&keyless(other, 3).seeder());
    client.announce(&announce(V1, 1));
    let unknown = InfoHash([b'?'; 20]);
    let asked = [other, V1, UNREGISTERED, unknown, V2, other];
    let (none, one) = ([0; 3], [1, 0, 0]);
    let expected = [one, none, [0, 0, 2], none, none, one];
    assert_eq!(counts(&client.scrape(&asked)), expected);

    // A part of a hash is no hash.
    let packet = scrape(client.id, &[UNREGISTERED, other]);
    assert_eq!(
        counts(&client.ask(&packet[..packet.len() - 1])),
        [[0, 0, 2]]
    );
}

#[test]
fn scrape_has_74_hashes_at_most() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    let reply = client.scrape(&[UNREGISTERED; 74]);
    assert_eq!(counts(&reply), [[0; 3]; 74]);
    let text = |reply: Vec<u8>| reply.escape_ascii().to_string();
    assert_eq!(
        text(client.scrape(&[UNREGISTERED; 75])),
        error("scrp", "too many info hashes: a UDP scrape has 74 at most")
    );
    assert_eq!(
        text(client.scrape(&[])),
        error("scrp", "full scrape is off: name an info_hash")
    );
}

/// Members of a torrent that was registered since aren't told of those who came before, and the other way round.
#[test]
fn clients_without_a_key_leave_when_the_torrent_is_registered() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    client.announce(&keyless(UNREGISTERED, 1));
    site.announce(2, &query(UNREGISTERED, 2));
    site.tracker.swarms.put_torrent(&RegisteredTorrent {
        id: TorrentId(9),
        info_hash: UNREGISTERED,
        info_hash_v2: None,
        status: TorrentStatus::Open,
        completed: 0,
    });
    let reply = site.announce(3, &query(UNREGISTERED, 3));
    assert!(
        reply.contains("5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xea"),
        "{reply}"
    );
    let missing = "missing key: copy your announce URL from the site again";
    assert_eq!(
        client.announce(&keyless(UNREGISTERED, 1)),
        error("anno", missing)
    );
    assert_eq!(counts(&client.scrape(&[UNREGISTERED])), [[0; 3]]);
}
