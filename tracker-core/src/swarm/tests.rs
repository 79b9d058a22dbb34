#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::SeedableRng;

use super::*;
use crate::accounting::Counters;
use crate::ids::{PeerId, UserId};
use crate::record::{Endpoint, Event};

const V1: InfoHash = InfoHash([1; 20]);
const V2: InfoHash = InfoHash([2; 20]);

fn hybrid() -> RegisteredTorrent {
    RegisteredTorrent {
        id: TorrentId(1),
        info_hash: V1,
        info_hash_v2: Some(V2),
        status: TorrentStatus::Open,
        completed: 3,
    }
}

fn join(swarms: &Swarms, hash: &InfoHash, user: u32, role: Role) {
    let endpoint = Endpoint::V4([127, 0, 0, 1, 1, user as u8]);
    join_at(swarms, hash, user, role, endpoint);
}

fn join_at(swarms: &Swarms, hash: &InfoHash, user: u32, role: Role, endpoint: Endpoint) {
    let visitor = Visitor {
        user: UserId(user),
        peer_id: PeerId([1; 20]),
        counters: Counters::default(),
        role,
        event: Event::Started,
        endpoint,
        hash_tag: hash.0[19],
        now: UnixTime(100),
    };
    let rules = Rules {
        min_interval_secs: 0,
        max_clients: 3,
        download_slots: 0,
    };
    let mut rng = SmallRng::seed_from_u64(1);
    let slots = &swarms.slots;
    swarms
        .with_any(hash, |torrent| {
            torrent.announce(&visitor, rules, slots, &mut rng)
        })
        .unwrap();
}

fn population(swarms: &Swarms) -> [u64; 3] {
    [Role::Leecher, Role::Seeder, Role::Partial].map(|role| swarms.peers(role))
}

async fn sweep(swarms: &Swarms, oldest: u32) {
    swarms.sweep(UnixTime(oldest), |_| true, async || {}).await;
}

#[test]
fn both_hashes_of_a_hybrid_lead_to_one_swarm() {
    let swarms = Swarms::default();
    swarms.put_torrent(&hybrid());
    join(&swarms, &V1, 1, Role::Seeder);
    join(&swarms, &V2, 2, Role::Leecher);
    let expected = Counts {
        complete: 1,
        incomplete: 1,
        downloaded: 3,
        partial: 0,
    };
    assert_eq!(swarms.counts(&V1, None), Some(expected));
    assert_eq!(swarms.counts(&V2, None), Some(expected));
}

#[test]
fn torrent_that_is_put_again_keeps_its_peers() {
    let swarms = Swarms::default();
    swarms.put_torrent(&hybrid());
    join(&swarms, &V1, 1, Role::Seeder);
    swarms.put_torrent(&RegisteredTorrent {
        status: TorrentStatus::Closed,
        ..hybrid()
    });
    assert_eq!(swarms.counts(&V1, None), None);
    swarms.put_torrent(&hybrid());
    assert_eq!(
        swarms.counts(&V1, None).map(|counts| counts.complete),
        Some(1)
    );
}

#[test]
fn population_follows_every_way_in_and_out() {
    let swarms = Swarms::default();
    swarms.put_torrent(&hybrid());
    join(&swarms, &V1, 1, Role::Leecher);
    join(&swarms, &V1, 1, Role::Seeder);
    join(&swarms, &V1, 2, Role::Leecher);
    join(&swarms, &V2, 3, Role::Partial);
    join(&swarms, &InfoHash([9; 20]), 4, Role::Leecher);
    assert_eq!(population(&swarms), [2, 1, 1]);
    swarms.remove_torrent(TorrentId(1));
    assert_eq!(population(&swarms), [1, 0, 0]);
    assert_eq!(swarms.counts(&V1, None), None);
    assert_eq!(swarms.counts(&V2, None), None);
}

#[tokio::test]
async fn sweep_takes_empty_unregistered_swarms_away_and_leaves_registered_ones() {
    let swarms = Swarms::default();
    swarms.put_torrent(&hybrid());
    join(&swarms, &V1, 1, Role::Seeder);
    let unregistered = InfoHash([9; 20]);
    join(&swarms, &unregistered, 1, Role::Seeder);
    sweep(&swarms, 100).await;
    assert_eq!(population(&swarms), [0, 2, 0]);
    sweep(&swarms, 101).await;
    assert_eq!(population(&swarms), [0, 0, 0]);
    assert_eq!(swarms.counts(&unregistered, None), None);
    assert_eq!(
        swarms.counts(&V2, None),
        Some(Counts {
            downloaded: 3,
            ..Counts::default()
        })
    );
}

/// A client of one family isn't told of the other, and the swarm isn't searched for the few that it could be told of.
#[test]
fn one_family_is_found_by_a_bounded_search() {
    let own = Endpoint::new(std::net::Ipv6Addr::LOCALHOST.into(), 1);
    let mut rng = SmallRng::seed_from_u64(1);
    let swarm_of = |peers: u32| {
        let swarms = Swarms::default();
        (0..peers).for_each(|user| join(&swarms, &V1, user, Role::Seeder));
        swarms
    };
    let mut found_in = |swarms: &Swarms, format| {
        swarms.with_any(&V1, |torrent| {
            let visitor = Visitor {
                user: UserId(1_000_000),
                peer_id: PeerId([2; 20]),
                counters: Counters::default(),
                role: Role::Seeder,
                event: Event::Started,
                endpoint: own,
                hash_tag: 1,
                now: UnixTime(100),
            };
            let rules = Rules {
                min_interval_secs: 0,
                max_clients: 3,
                download_slots: 0,
            };
            let mut found = 0;
            for _ in 0..200 {
                let visit = torrent.announce(&visitor, rules, &swarms.slots, &mut rng);
                let visit = visit.unwrap();
                let mut list = PeerList::default();
                let other = Endpoint::V4([9; 6]);
                list.begin(format, 2, other);
                torrent.sample(&visit, Role::Leecher, &mut list, &mut rng);
                assert!(list.peers.is_empty() || format == PeerFormat::CompactV4);
                found += list.peers6.len() / 18 + list.peers.len() / 6;
            }
            found
        })
    };
    // The visitor is the only one over IPv6, and doesn't meet itself.
    let (small, large) = (swarm_of(10), swarm_of(5000));
    assert_eq!(found_in(&small, PeerFormat::CompactV6), 0);
    assert_eq!(found_in(&small, PeerFormat::CompactV4), 400);
    for swarms in [&small, &large] {
        join_at(swarms, &V1, 2_000_000, Role::Seeder, Endpoint::V6([6; 18]));
    }
    assert_eq!(found_in(&small, PeerFormat::CompactV6), 200);
    let lucky = found_in(&large, PeerFormat::CompactV6);
    assert!(lucky < 20, "{lucky} of 200 looks at 16 of 5000");
}
