use tracker_core::bencode;
use tracker_core::query::{Announce, scrape_hashes};
use tracker_core::tracker::Outcome;

use super::*;

/// Makes two rounds; every reply has to be good, and to have as many peers as `expected` says of the n-th.
fn check(mut traffic: Traffic, expected: impl Fn(usize) -> usize) {
    let announces = 2 * traffic.round();
    for n in 0..announces {
        let reply = traffic.announce();
        assert_eq!(reply.outcome, Outcome::Answered);
        assert_eq!(peers_in(reply.body), expected(n), "announce {n}");
    }
    let mut records = 0;
    traffic.drain(|_| records += 1);
    assert_eq!(records, announces);
}

fn peers_in(body: &[u8]) -> usize {
    let reply = bencode::parse(body).expect("bencode");
    let peers = reply.dict().and_then(|reply| reply.get(b"peers"));
    let peers = peers.expect("peers");
    match peers.bytes() {
        Some(compact) => compact.len() / 6,
        None => peers.list().expect("a list").count(),
    }
}

/// The load generator of PERFORMANCE.md sent 334 bytes; longer counters make the difference.
#[test]
fn qbittorrents_request_is_about_as_long_as_in_performance_md() {
    let query = &qbittorrent_queries(Size::Small)[0];
    let request = format!(
        "GET /announce/{:032}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: qBittorrent/4.6.5\r\n\
         Accept-Encoding: gzip\r\n\r\n",
        0
    );
    let length = request.len();
    assert!((320..=380).contains(&length), "{length} bytes");
}

#[test]
fn queries_are_read_without_complaint() {
    let wants = |query: &String| Announce::parse(query.as_bytes()).map(|query| query.numwant);
    for size in [Size::Small, Size::Large] {
        let queries = qbittorrent_queries(size);
        assert_eq!(queries.len(), size.pick(1, 1_000));
        assert!(queries.iter().all(|query| wants(query) == Ok(Some(30))));
        let queries = transmission_queries(size);
        assert_eq!(queries.len(), size.pick(1, 1_000));
        assert!(queries.iter().all(|query| wants(query) == Ok(Some(80))));
        let scrape = scrape_query(size);
        let hashes = scrape_hashes(scrape.as_bytes()).filter(Result::is_ok);
        assert_eq!(hashes.count(), size.pick(1, 60));
    }
}

#[test]
fn leecher_gets_everyone_else_of_a_small_swarm_and_seeder_its_leechers() {
    check(everyone(Size::Small, Role::Leecher), |_| 9);
    check(everyone(Size::Small, Role::Seeder), |_| 5);
}

#[test]
fn regulars_get_four_peers_with_passkey_or_token() {
    for traffic in [
        regulars(Size::Small, Role::Leecher),
        regulars(Size::Small, Role::Seeder),
        tokens(Size::Small),
    ] {
        assert_eq!(traffic.round(), 5);
        check(traffic, |_| 4);
    }
}

#[test]
fn mix_gives_what_each_swarm_has() {
    let site = Site::zipf(10, 200);
    let count = |session: &Session, roles: &[Role]| {
        let there = site
            .sessions
            .iter()
            .filter(|s| s.torrent == session.torrent);
        there.filter(|other| roles.contains(&other.role)).count()
    };
    let available = |session: &Session| match session.role {
        Role::Leecher => count(session, &[Role::Leecher, Role::Seeder]) - 1,
        _ => count(session, &[Role::Leecher]),
    };
    let expected: Vec<_> = site
        .sessions
        .iter()
        .map(|session| available(session).min(NUMWANT as usize))
        .collect();
    assert!((190..=210).contains(&expected.len()));
    check(mix(Size::Small), |n| expected[n % expected.len()]);
}

#[test]
fn churn_leaves_the_swarm_as_it_was() {
    let mut traffic = churn(Size::Small);
    for _ in 0..traffic.round() {
        traffic.announce();
    }
    traffic.drain(|_| {});
    // Who starts gets four of the ten; who stops gets none.
    check(traffic, |n| if n % 2 == 0 { 4 } else { 0 });
}

#[test]
fn reply_has_as_many_peers_as_it_says() {
    check(reply(Size::Small, 0), |_| 0);
    check(reply(Size::Small, 50), |_| 50);
    check(reply_in_dictionaries(Size::Small, 50), |_| 50);
}

#[test]
fn timing_leaves_nothing_in_the_outbox() {
    let mut traffic = regulars(Size::Small, Role::Leecher);
    assert!(!traffic.time(500).is_zero());
    traffic.drain(|_| panic!("a record was left"));
}
