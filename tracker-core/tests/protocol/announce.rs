//! Good announces and scrapes, BEP by BEP. Each table row: a request, and the reply to the byte (escaped).

use tracker_core::ids::{UnixTime, UserId};
use tracker_core::record::{Event, Role};
use tracker_core::registry::{LeechRights, Member, MemberStatus, UserClass};
use tracker_core::settings::Settings;

use crate::support::*;

/// A reply without peers, to a client at 127.0.0.1.
fn answer(complete: u32, incomplete: u32, rest: &str) -> String {
    format!(
        "d8:completei{complete}e10:downloadedi0e11:external ip4:\\x7f\\x00\\x00\\x01\
         10:incompletei{incomplete}e8:intervali1800e12:min intervali900e{rest}e"
    )
}

#[test]
fn bep_3_and_23_peers_come_in_compact_form() {
    let site = Site::new(Settings::default());
    let table = [
        (1, query(V1, 1), answer(0, 1, "5:peers0:")),
        (
            2,
            seeder(V1, 2),
            answer(1, 1, "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9"),
        ),
        (
            3,
            seeder(V1, 3),
            answer(2, 1, "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9"),
        ),
        (4, query(V1, 4) + "&numwant=0", answer(2, 2, "5:peers0:")),
        (
            1,
            query(V1, 1) + "&event=stopped",
            answer(2, 1, "5:peers0:"),
        ),
        (
            1,
            query(V1, 1) + "&event=stopped",
            answer(2, 1, "5:peers0:"),
        ),
        (
            2,
            seeder(V1, 2) + "&event=started&compact=1",
            answer(2, 1, "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xec"),
        ),
    ];
    for (user, query, expected) in table {
        assert_eq!(site.announce(user, &query), expected, "{user}: {query}");
    }
}

#[test]
fn bep_3_peers_come_as_dictionaries_when_compact_is_0() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(V1, 1));
    let with_ids = "5:peersld2:ip9:127.0.0.17:peer id20:-XX0001-0000000000014:porti1001eee";
    let without = "5:peersld2:ip9:127.0.0.14:porti1001eee";
    let compact_0 = query(V1, 2) + "&event=started&compact=0";
    assert_eq!(site.announce(2, &compact_0), answer(1, 1, with_ids));
    assert_eq!(
        site.announce(2, &(compact_0 + "&no_peer_id=1")),
        answer(1, 1, without)
    );
}

#[test]
fn bep_7_ipv6_peers_and_both_endpoints_of_one_session() {
    let site = Site::new(Settings::default());
    let path = |user| format!("/announce/{}?{}&event=started", key(user), query(V1, user));
    site.get(&path(1));
    let reply = Client::to(site.v6()).get(&path(1)).text();
    assert!(reply.contains("10:incompletei1e"), "one session: {reply}");
    assert!(
        reply.contains(&format!("11:external ip16:{}\\x01", "\\x00".repeat(15))),
        "BEP 24: {reply}"
    );
    let both = format!(
        "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe96:peers618:{}\\x01\\x03\\xe9",
        "\\x00".repeat(15)
    );
    assert_eq!(
        site.announce(2, &(query(V1, 2) + "&event=started")),
        answer(0, 2, &both)
    );
}

#[test]
fn bep_21_partial_seed_wants_nothing_and_is_incomplete() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(V1, 1));
    assert_eq!(
        site.announce(2, &(query(V1, 2) + "&event=paused")),
        answer(1, 1, "5:peers0:")
    );
    let reply = site.get(&format!("/scrape/{}?info_hash={}", key(1), "1".repeat(20)));
    assert!(
        reply.text().contains("11:downloadersi0e10:incompletei1e"),
        "{}",
        reply.text()
    );
    let for_leecher = site.announce(3, &query(V1, 3));
    assert!(
        for_leecher.contains("5:peers12:"),
        "a leecher gets both: {for_leecher}"
    );
}

#[test]
fn bep_31_refusal_says_when_to_retry() {
    let site = Site::new(Settings::default());
    assert_eq!(
        site.announce(1, &query(UNREGISTERED, 1)),
        failure("unregistered torrent", "i30e")
    );
    assert_eq!(
        site.announce(1, &query(CLOSED, 1)),
        failure("this torrent was taken down", "5:never")
    );
    assert_eq!(site.records(), []);
}

#[test]
fn bep_48_scrape_counts_known_torrents_in_order() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(V1, 1));
    site.announce(2, &query(V1, 2));
    let hash = |digit: &str| format!("&info_hash={}", digit.repeat(20));
    let counted = |digit: &str| {
        format!(
            "20:{}d8:completei1e10:downloadedi0e11:downloadersi1e10:incompletei1ee",
            digit.repeat(20)
        )
    };
    let table = [
        (hash("1"), format!("d5:filesd{}ee", counted("1"))),
        (
            hash("2") + &hash("1") + &hash("1"),
            format!("d5:filesd{}{}ee", counted("1"), counted("2")),
        ),
        (hash("U"), "d5:filesdee".to_owned()),
        (hash("C"), "d5:filesdee".to_owned()),
        (
            String::new(),
            failure("full scrape is off: name an info_hash", "5:never"),
        ),
    ];
    for (query, expected) in table {
        for path in [
            format!("/scrape/{}?", key(1)),
            format!("/{}/scrape/?", key(1)),
            format!("/scrape?key={}", key(1)),
        ] {
            assert_eq!(
                site.get(&format!("{path}{query}")).text(),
                expected,
                "{path}{query}"
            );
        }
    }
}

#[test]
fn token_bound_to_a_torrent_scrapes_no_other() {
    let site = Site::new(Settings::default());
    let scrape = |bound| {
        let target = format!(
            "/scrape/{}?info_hash={}",
            token(Some(bound), None),
            "2".repeat(20)
        );
        site.get(&target).text()
    };
    assert!(scrape(1).contains("20:22222222222222222222"));
    assert_eq!(scrape(2), "d5:filesdee");
}

#[test]
fn bep_52_both_hashes_of_a_hybrid_are_one_swarm_and_one_session() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(V1, 1));
    site.announce(1, &seeder(V2, 1));
    let reply = site.announce(2, &query(V2, 2));
    assert_eq!(
        reply,
        answer(1, 1, "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9")
    );
    let sessions: Vec<_> = site.records().iter().map(|record| record.session).collect();
    assert_eq!(sessions[0], sessions[1]);
}

#[test]
fn every_url_form_and_every_kind_of_key_opens() {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        ..Settings::default()
    });
    let query = query(V1, 1);
    let never = token(None, None);
    let bound = token(Some(1), Some(UnixTime(u32::MAX)));
    for key in [key(1), key(1).to_uppercase(), never, bound] {
        for target in [
            format!("/announce/{key}?{query}"),
            format!("/announce/{key}/?{query}"),
            format!("/{key}/announce?{query}"),
            format!("/{key}/announce/?{query}"),
            format!("/announce?key={key}&{query}"),
            format!("/announce/?key={key}&{query}&key=AB12CD34"),
            format!("/announce/{key}?{query}&key=AB12CD34"),
        ] {
            assert!(
                site.get(&target).text().starts_with("d8:complete"),
                "{target}"
            );
        }
    }
}

#[test]
fn early_announce_gets_a_warning_and_an_empty_list() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(V1, 1));
    site.announce(2, &query(V1, 2));
    let words =
        string("announced too soon: your bytes are counted, and peers come after the min interval");
    let warning = format!("5:peers0:15:warning message{words}");
    assert_eq!(site.announce(2, &query(V1, 2)), answer(1, 1, &warning));
    assert_eq!(site.records().len(), 3, "its counters are taken");
}

#[test]
fn pending_torrent_takes_counters_and_gives_no_peers() {
    let site = Site::new(Settings::default());
    site.announce(1, &seeder(PENDING, 1));
    let reply = site.announce(2, &query(PENDING, 2));
    assert!(reply.contains("5:peers0:15:warning message"), "{reply}");
    assert_eq!(site.records().len(), 2);
}

#[test]
fn any_torrent_is_tracked_without_accounts_when_the_operator_wants_it() {
    let site = Site::new(Settings {
        track_unregistered: true,
        ..Settings::default()
    });
    site.announce(1, &seeder(UNREGISTERED, 1));
    let reply = site.announce(2, &query(UNREGISTERED, 2));
    assert_eq!(
        reply,
        answer(1, 1, "5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9")
    );
    assert_eq!(site.records(), []);
}

#[test]
fn numwant_is_capped() {
    let settings = Settings {
        numwant_max: 2,
        numwant_default: 1,
        ..Settings::default()
    };
    let site = Site::new(settings);
    for user in 1..=5 {
        site.announce(user, &query(V1, user));
    }
    for (wish, peers) in [
        ("", 1),
        ("&numwant=2", 2),
        ("&numwant=999", 2),
        ("&numwant=-1", 1),
    ] {
        let reply = site.announce(6, &(seeder(V1, 6) + "&event=started" + wish));
        assert!(
            reply.contains(&format!("5:peers{}:", peers * 6)),
            "{wish}: {reply}"
        );
    }
}

#[test]
fn record_says_what_the_client_said() {
    let site = Site::new(Settings::default());
    let query = query_without_counters(V1, 3) + "&uploaded=5&downloaded=6&left=7&event=started";
    site.announce(3, &query);
    let [record] = site.records()[..] else {
        panic!("one announce, one record")
    };
    assert_eq!(record.session.user, UserId(3));
    assert_eq!(record.session.peer_id.0, *b"-XX0001-000000000003");
    assert_eq!(
        (
            record.counters.uploaded,
            record.counters.downloaded,
            record.left
        ),
        (5, 6, 7)
    );
    assert_eq!(
        (record.event, record.role, record.in_swarm),
        (Event::Started, Role::Leecher, true)
    );
    assert_eq!(record.endpoint.ip().to_string(), "127.0.0.1");
}

#[test]
fn address_comes_from_where_the_operator_believes_it() {
    let proxied = Settings {
        client_ip_header: Some("x-forwarded-for".parse().unwrap()),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let untrusted = Settings {
        trusted_proxies: vec![],
        ..proxied.clone()
    };
    let by_param = Settings {
        allow_ip_param: true,
        ..Settings::default()
    };
    let direct = Settings::default();
    let forwarded = "X-Forwarded-For: 9.9.9.9, 192.0.2.7, 127.0.0.9\r\n";
    let table = [
        (&proxied, forwarded, "", "192.0.2.7"),
        (
            &proxied,
            "X-Forwarded-For: ::ffff:192.0.2.8\r\n",
            "",
            "192.0.2.8",
        ),
        (&proxied, "X-Forwarded-For: unknown\r\n", "", "127.0.0.1"),
        (
            &proxied,
            "X-Forwarded-For: 192.0.2.8:5555\r\n",
            "",
            "192.0.2.8",
        ),
        (
            &proxied,
            "X-Forwarded-For: \"[2001:db8::1]:5555\", \r\n",
            "",
            "2001:db8::1",
        ),
        (
            &proxied,
            "X-Forwarded-For: [2001:db8::1]\r\n",
            "",
            "2001:db8::1",
        ),
        (&proxied, "X-Forwarded-For: 0.0.0.0\r\n", "", "127.0.0.1"),
        (&by_param, "", "&ip=255.255.255.255", "127.0.0.1"),
        (&proxied, "", "", "127.0.0.1"),
        (&untrusted, forwarded, "", "127.0.0.1"),
        (&direct, forwarded, "&ip=192.0.2.9", "127.0.0.1"),
        (&by_param, "", "&ip=192.0.2.9", "192.0.2.9"),
        (&by_param, "", "&ip=2001%3Adb8%3A%3A1", "2001:db8::1"),
        (&by_param, "", "&ip=tracker.example", "127.0.0.1"),
    ];
    for (settings, header, param, expected) in table {
        let site = Site::new(settings.clone());
        let mut client = site.connect();
        client.send(format!(
            "GET /announce/{}?{}{param} HTTP/1.1\r\n{header}\r\n",
            key(1),
            query(V1, 1)
        ));
        client.reply();
        assert_eq!(
            site.records()[0].endpoint.ip().to_string(),
            expected,
            "{header}{param}"
        );
    }
}

#[test]
fn stopping_finishes_what_was_asked_and_closes_the_rest() {
    let site = Site::new(Settings::default());
    let mut idle = site.connect();
    idle.get("/");
    let mut asking = site.connect();
    asking.get("/");
    asking.send("GET / HTTP/1.1\r\n");
    let stopping = std::thread::spawn(move || site.stop());
    assert_eq!(idle.until_closed(), b"");
    asking.send("\r\n");
    let reply = asking.reply();
    assert!(reply.head.contains("connection: close"), "{}", reply.head);
    assert_eq!(asking.until_closed(), b"");
    stopping.join().unwrap();
}

#[test]
fn who_may_not_leech_may_seed_and_who_is_warned_gets_peers() {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        ..Settings::default()
    });
    let member = |leech| Member {
        id: UserId(1),
        status: MemberStatus::Active,
        class: UserClass::Newbie,
        leech,
        passkey: Some([0x11; 16]),
    };
    site.announce(2, &seeder(V1, 2));
    site.announce(1, &query(V1, 1));
    site.tracker.roster.put_member(member(LeechRights::Warned));
    let reply = site.announce(1, &query(V1, 1));
    assert!(reply.contains("5:peers6:"), "{reply}");
    assert!(
        reply.contains("15:warning message68:your ratio is too low"),
        "{reply}"
    );

    site.tracker
        .roster
        .put_member(member(LeechRights::Suspended));
    let suspended = failure(
        "your downloads are suspended: see your account on the site",
        "i30e",
    );
    assert_eq!(site.announce(1, &query(V1, 1)), suspended);
    let paused = format!("{}&event=paused", query(V1, 1));
    assert_eq!(site.announce(1, &paused), suspended);
    let started = format!("{}&event=started", query(V1, 1));
    assert_eq!(site.announce(1, &started), suspended);
    // The last word of what was going on counts, and what they have they seed.
    let stopped = format!("{}&event=stopped", query(V1, 1));
    assert!(site.announce(1, &stopped).contains("8:interval"));
    assert!(site.announce(1, &seeder(V1, 1)).contains("8:completei2e"));

    site.tracker.roster.put_member(member(LeechRights::Free));
    let reply = site.announce(1, &query(V1, 1));
    assert!(!reply.contains("warning"), "{reply}");
}
