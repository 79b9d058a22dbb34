//! Good announces over UDP (BEP 15, BEP 41), and refusals: each to the byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracker_core::gate::{ClientAction, ClientRule, IpBlock};
use tracker_core::ids::{InfoHash, TorrentId, UserId};
use tracker_core::record::{Endpoint, Event, Role};
use tracker_core::server::{Listener, Options};
use tracker_core::settings::Settings;

use crate::support::*;
use crate::udp_client::*;

/// A good reply without peers.
fn answer(complete: u8, incomplete: u8) -> String {
    // 1800 seconds are 0x708.
    let bytes = [0, 0, 7, 8, 0, 0, 0, incomplete, 0, 0, 0, complete];
    format!("\\x00\\x00\\x00\\x01anno{}", bytes.escape_ascii())
}

fn impatient() -> Settings {
    Settings {
        min_interval_secs: 0,
        ..Settings::default()
    }
}

#[test]
fn connect_is_answered_with_an_id_that_nobody_stores() {
    let site = Site::new(Settings::default());
    let client = UdpClient::unproven(site.udp4());
    let reply = client.ask(&connect(*b"abcd"));
    assert_eq!(reply.len(), 16);
    assert_eq!(reply[..8], *b"\0\0\0\0abcd");
    // BEP 15: packets may be longer than they have to be.
    let longer = [connect(*b"efgh"), vec![1; 500]].concat();
    assert_eq!(client.ask(&longer)[..8], *b"\0\0\0\0efgh");
}

#[test]
fn peers_come_in_six_bytes_over_ipv4() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let one = "\\x7f\\x00\\x00\\x01\\x03\\xe9";
    let four = "\\x7f\\x00\\x00\\x01\\x03\\xec";
    let table = [
        (announce(V1, 1), answer(0, 1)),
        (announce(V1, 2).seeder(), answer(1, 1) + one),
        (announce(V1, 3).seeder().event(STARTED), answer(2, 1) + one),
        (announce(V1, 4).numwant(0), answer(2, 2)),
        (announce(V1, 1).event(STOPPED), answer(2, 1)),
        (announce(V1, 1).event(STOPPED), answer(2, 1)),
        (announce(V1, 2).seeder().event(STARTED), answer(2, 1) + four),
        // By the other hash of the hybrid.
        (announce(V2, 3).seeder(), answer(2, 1) + four),
    ];
    for (row, (announce, expected)) in table.into_iter().enumerate() {
        assert_eq!(client.announce(&announce), expected, "row {row}");
    }
}

#[test]
fn peers_come_in_eighteen_bytes_over_ipv6_and_each_family_apart() {
    let site = Site::new(impatient());
    let (v4, v6) = (UdpClient::to(site.udp4()), UdpClient::to(site.udp6()));
    let at4 = "\\x7f\\x00\\x00\\x01\\x03\\xe9";
    let at6 = format!("{}\\x01\\x03\\xe9", "\\x00".repeat(15));
    // One session with two addresses, and one with an IPv4 address only.
    v4.announce(&announce(V1, 1));
    v6.announce(&announce(V1, 1));
    v4.announce(&announce(V1, 2).seeder());
    let asks = announce(V1, 3).numwant(50);
    let reply = v6.announce(&asks);
    assert_eq!(reply, answer(1, 2) + &at6);
    let reply = v4.ask(&asks.packet(v4.id));
    assert_eq!(reply.len(), 20 + 2 * 6);
    assert!(reply.escape_ascii().to_string().contains(at4));
    // The one place isn't spent on an address of the other family.
    for _ in 0..20 {
        let seeder = v6.announce(&announce(V1, 4).seeder().numwant(1));
        assert!(
            seeder.ends_with("\\x03\\xe9") || seeder.ends_with("\\x03\\xeb"),
            "{seeder}"
        );
        assert_eq!(
            v6.ask(&announce(V1, 4).numwant(1).packet(v6.id)).len(),
            20 + 18
        );
    }
}

#[test]
fn every_event_means_what_it_means_over_http() {
    let site = Site::new(impatient());
    let client = UdpClient::to(site.udp4());
    let moved = |event| Announce {
        uploaded: 5,
        downloaded: 6,
        ..announce(V1, 1).event(event)
    };
    client.announce(&moved(STARTED));
    client.announce(&moved(0));
    client.announce(&moved(PAUSED));
    client.announce(&moved(COMPLETED).seeder());
    client.announce(&moved(STOPPED).seeder());
    let records = site.records();
    let events: Vec<_> = records
        .iter()
        .map(|record| (record.event, record.role))
        .collect();
    let expected = [
        (Event::Started, Role::Leecher),
        (Event::None, Role::Leecher),
        (Event::Paused, Role::Partial),
        (Event::Completed, Role::Seeder),
        (Event::Stopped, Role::Seeder),
    ];
    assert_eq!(events, expected);
    for record in records {
        assert_eq!(record.session.user, UserId(1));
        assert_eq!(record.session.torrent, TorrentId(1));
        assert_eq!(record.session.peer_id.0, *b"-XX0001-000000000001");
        assert_eq!(
            (record.counters.uploaded, record.counters.downloaded),
            (5, 6)
        );
        assert_eq!(
            record.endpoint,
            Endpoint::new(Ipv4Addr::LOCALHOST.into(), 1001)
        );
    }
}

#[test]
fn http_and_udp_share_one_session() {
    let site = Site::new(impatient());
    let client = UdpClient::to(site.udp4());
    site.announce(1, &(query(V1, 1) + "&event=started"));
    let reply = client.announce(&announce(V1, 1));
    assert_eq!(reply, answer(0, 1), "one leecher, who doesn't meet itself");
    client.announce(&announce(V1, 2).seeder());
    let over_http = site.announce(1, &query(V1, 1));
    assert!(
        over_http.contains("5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xea"),
        "{over_http}"
    );
    let sessions: Vec<_> = site.records().iter().map(|record| record.session).collect();
    assert_eq!(sessions.len(), 4);
    assert!([1, 3].iter().all(|&at| sessions[0] == sessions[at]));
}

/// BEP 15 has no warnings: counts and interval come, and no peers.
#[test]
fn what_is_a_warning_over_http_is_an_answer_without_peers() {
    let site = Site::new(Settings {
        max_peers_per_torrent_per_user: 1,
        ..Settings::default()
    });
    let client = UdpClient::to(site.udp4());
    client.announce(&announce(V1, 2).seeder());
    client.announce(&announce(V1, 1));
    assert_eq!(client.announce(&announce(V1, 1)), answer(1, 1), "too soon");
    let second = Announce {
        peer_id: [b'2'; 20],
        port: 1,
        ..announce(V1, 1)
    };
    assert_eq!(client.announce(&second), answer(1, 1), "too many clients");
    client.announce(&announce(PENDING, 1));
    assert_eq!(
        client.announce(&announce(PENDING, 2)),
        answer(0, 2),
        "pending"
    );
    assert_eq!(site.records().len(), 6, "all of them are counted");
}

#[test]
fn numwant_is_the_default_when_negative_and_never_more_than_allowed() {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        numwant_default: 3,
        numwant_max: 5,
        ..Settings::default()
    });
    let client = UdpClient::to(site.udp4());
    (1..10).for_each(|user| drop(client.announce(&announce(V1, user))));
    for (numwant, expected) in [
        (-1, 3),
        (i32::MIN, 3),
        (0, 0),
        (1, 1),
        (5, 5),
        (6, 5),
        (i32::MAX, 5),
    ] {
        let reply = client.ask(&announce(V1, 1).numwant(numwant).packet(client.id));
        assert_eq!(reply.len(), 20 + 6 * expected, "{numwant}");
    }
}

/// So much passes any path in one piece.
#[test]
fn no_answer_is_longer_than_1232_bytes() {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        numwant_max: 1000,
        max_peers_per_torrent_per_user: 1000,
        ..Settings::default()
    });
    let (v4, v6) = (UdpClient::to(site.udp4()), UdpClient::to(site.udp6()));
    for number in 0..250u16 {
        let session = Announce {
            peer_id: format!("{number:020}").into_bytes().try_into().unwrap(),
            port: 2000 + number,
            ..announce(V1, 1)
        };
        v4.announce(&session);
        v6.announce(&session);
    }
    let asks = announce(V1, 2).numwant(1000);
    assert_eq!(v4.ask(&asks.packet(v4.id)).len(), 20 + 202 * 6);
    assert_eq!(v6.ask(&asks.packet(v6.id)).len(), 20 + 67 * 18);
}

#[test]
fn refusals_are_error_packets_with_the_words_of_http() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let copy = "copy your announce URL from the site again";
    let good = announce(V1, 1);
    let with_url = |text: &str| good.clone().options(url(text));
    let table = [
        (
            Announce {
                uploaded: -1,
                ..good.clone()
            },
            "uploaded must not be negative".to_owned(),
        ),
        (
            Announce {
                downloaded: i64::MIN,
                ..good.clone()
            },
            "downloaded must not be negative".to_owned(),
        ),
        (
            Announce {
                left: -1,
                ..good.clone()
            },
            "left must not be negative".to_owned(),
        ),
        (
            Announce {
                port: 0,
                ..good.clone()
            },
            "port must be 1 to 65535".to_owned(),
        ),
        (
            good.clone().event(5),
            "event must be started, completed, stopped or paused".to_owned(),
        ),
        (
            good.clone().event(u32::MAX),
            "event must be started, completed, stopped or paused".to_owned(),
        ),
        (announce(UNREGISTERED, 1), "unregistered torrent".to_owned()),
        (
            announce(CLOSED, 1),
            "this torrent was taken down".to_owned(),
        ),
        (
            announce(V1, 10),
            "account disabled: ask the staff".to_owned(),
        ),
        (
            with_url(&format!("/announce/{}", "f".repeat(32))),
            format!("unknown key: {copy}"),
        ),
        (
            with_url("/announce/short"),
            format!("malformed key: {copy}"),
        ),
        (
            with_url(&format!("/announce/{}", "x".repeat(1500))),
            format!("malformed key: {copy}"),
        ),
        (
            with_url(&format!("/announce/{}", token(Some(2), None))),
            "this key is for another torrent: download the .torrent again".to_owned(),
        ),
        (with_url("/announce"), format!("missing key: {copy}")),
        (with_url("/"), format!("missing key: {copy}")),
        (good.clone().options(vec![]), format!("missing key: {copy}")),
        (
            good.clone().options(vec![2, 0]),
            format!("missing key: {copy}"),
        ),
        (
            with_url("/stats"),
            "not an announce URL: copy yours from the site again".to_owned(),
        ),
        (
            good.clone().options(vec![2]),
            "the packet ends within an option (BEP 41)".to_owned(),
        ),
        (
            good.clone().options(vec![2, 5, b'/']),
            "the packet ends within an option (BEP 41)".to_owned(),
        ),
    ];
    for (announce, expected) in table {
        assert_eq!(client.announce(&announce), error("anno", &expected));
    }
    assert_eq!(site.records(), []);
}

/// BEP 41: parts, padding, options that we don't know, and every form of the URL.
#[test]
fn key_is_found_in_the_url_data() {
    let site = Site::new(impatient());
    let client = UdpClient::to(site.udp4());
    let key = key(1);
    let (first, second) = (url("/announce/1111"), url(&key[4..]));
    let table = [
        url(&format!("/announce/{key}")),
        url(&format!("/announce/{key}/")),
        url(&format!("/{key}/announce")),
        url(&format!("/announce?key={key}")),
        url(&format!("/announce/?a=b&key={key}")),
        url(&format!("/announce/{}", token(Some(1), None))),
        [first.clone(), second.clone()].concat(),
        [
            vec![1; 700],
            first.clone(),
            vec![1],
            second.clone(),
            vec![0, 2, 255],
        ]
        .concat(),
        [
            vec![9, 3, 2, 2, 2],
            first.clone(),
            vec![200, 0],
            second.clone(),
        ]
        .concat(),
        [
            url(&format!("/announce/{key}?{}", "x".repeat(1500))),
            vec![1; 100],
        ]
        .concat(),
        key.bytes().fold(url("/announce/"), |parts, byte| {
            [parts, vec![2, 1, byte]].concat()
        }),
    ];
    for options in table {
        let reply = client.announce(&announce(V1, 1).options(options.clone()));
        assert_eq!(reply, answer(0, 1), "{}", options.escape_ascii());
    }
    // Longer than any URL that is meant: it isn't read.
    let endless = announce(V1, 1)
        .options(url(&"x".repeat(4096)))
        .packet(client.id);
    assert_eq!(client.answers_to(&endless), <[Vec<u8>; 0]>::default());
}

#[test]
fn claimed_address_is_believed_only_when_allowed() {
    for allow_ip_param in [false, true] {
        let site = Site::new(Settings {
            allow_ip_param,
            ..Settings::default()
        });
        let client = UdpClient::to(site.udp4());
        let elsewhere = |user, ip| Announce {
            ip,
            ..announce(V1, user)
        };
        client.announce(&elsewhere(1, [192, 0, 2, 7]));
        client.announce(&elsewhere(2, [255; 4]));
        UdpClient::to(site.udp6()).announce(&elsewhere(3, [192, 0, 2, 7]));
        let addresses: Vec<_> = site
            .records()
            .iter()
            .map(|record| record.endpoint.ip())
            .collect();
        let claimed = if allow_ip_param {
            [192, 0, 2, 7]
        } else {
            [127, 0, 0, 1]
        };
        let expected: [IpAddr; 3] = [
            Ipv4Addr::from(claimed).into(),
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        assert_eq!(addresses, expected);
    }
}

#[test]
fn scrape_over_udp_is_refused_as_nobody_can_say_whose_it_is() {
    let site = Site::new(Settings::default());
    let client = UdpClient::to(site.udp4());
    let reply = client.scrape(&[V1]).escape_ascii().to_string();
    assert_eq!(
        reply,
        error("scrp", "a scrape over UDP has no key: scrape over HTTP")
    );
}

/// The kernel would divide the packets between the two.
#[test]
fn another_tracker_cannot_share_the_port() {
    let site = Site::new(Settings::default());
    let options = Options {
        udp: vec![(Ipv6Addr::UNSPECIFIED, site.udp4().port()).into()],
        ..Options::default()
    };
    let error = Listener::bind(&options).unwrap_err().to_string();
    let port = site.udp4().port();
    assert_eq!(
        error,
        format!("tracker.udp: [::]:{port} is taken by another program")
    );
}

#[test]
fn what_came_before_the_end_is_answered() {
    /// As many as a socket holds anywhere.
    const QUEUED: u32 = 200;
    let site = Site::new(Settings {
        min_interval_secs: 0,
        ..Settings::default()
    });
    let client = UdpClient::to(site.udp4());
    let packet = announce(InfoHash([b'1'; 20]), 1).packet(client.id);
    (0..QUEUED).for_each(|_| client.send(&packet));
    site.stop();
    for number in 0..QUEUED {
        assert!(!client.has_no_reply_yet(), "{number}");
        assert_eq!(client.receive().len(), 20);
    }
}

#[test]
fn blocked_addresses_and_denied_clients_are_refused_and_change_nothing() {
    let site = Site::new(impatient());
    let gate = &site.tracker.gate;
    let client = UdpClient::to(site.udp4());
    let http = |agent: &str| {
        let mut client = site.connect();
        let target = format!("/announce/{}?{}", key(2), query(V1, 2));
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: tracker\r\nUser-Agent: {agent}\r\n\r\n"
        ));
        client.reply().text()
    };
    let blocked = "your address is blocked: ask the staff";
    let denied = "this torrent client is not allowed here: see the rules of the site";

    gate.put_blocks([IpBlock {
        net: "127.0.0.1/32".parse().unwrap(),
        expires_at: None,
    }]);
    assert_eq!(client.announce(&announce(V1, 1)), error("anno", blocked));
    assert!(http("a").contains(blocked));
    gate.put_blocks([]);
    let rule = |prefix: &str, agent: &str| ClientRule {
        peer_id_prefix: prefix.into(),
        user_agent: agent.into(),
        action: ClientAction::Deny,
        from: None,
    };
    gate.put_client_rules(vec![rule("-XX", "")]);
    assert_eq!(client.announce(&announce(V1, 1)), error("anno", denied));
    assert!(http("a").contains(denied));
    assert!(site.records().is_empty());
    gate.put_client_rules(vec![rule("-XX", "bad/")]);
    assert_eq!(client.announce(&announce(V1, 1)), answer(0, 1));
    assert!(http("bad/1").contains(denied));
    assert!(http("good/1").contains("8:interval"));
}
