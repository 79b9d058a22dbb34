#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;
use crate::swarm::PeerFormat;

const NOW: UnixTime = UnixTime(10_000);
const RULES: Rules = Rules {
    min_interval_secs: 900,
    max_clients: 3,
    download_slots: 0,
};

fn visitor(user: u32, client: u8, role: Role) -> Visitor {
    Visitor {
        user: UserId(user),
        peer_id: PeerId([client; 20]),
        counters: Counters::default(),
        role,
        event: Event::None,
        endpoint: v4(user, client),
        hash_tag: 1,
        now: NOW,
    }
}

fn v4(user: u32, client: u8) -> Endpoint {
    let [a, b, c, d] = user.to_be_bytes();
    Endpoint::V4([a, b, c, d, 1, client])
}

fn v6(user: u32) -> Endpoint {
    let mut compact = [0xfd; 18];
    compact[..4].copy_from_slice(&user.to_be_bytes());
    Endpoint::V6(compact)
}

struct Swarm {
    torrent: Torrent,
    slots: Slots,
    rng: SmallRng,
}

impl Swarm {
    fn new() -> Self {
        Self {
            torrent: Torrent::new(Some(TorrentId(1)), TorrentStatus::Open, 0),
            slots: Slots::default(),
            rng: SmallRng::seed_from_u64(1),
        }
    }

    fn announce(&mut self, visitor: Visitor) -> Visit {
        let visit = self
            .torrent
            .announce(&visitor, RULES, &self.slots, &mut self.rng);
        self.check();
        visit.unwrap()
    }

    /// Announces, and returns the users of the IPv4 peers that come back.
    fn ask(&mut self, visitor: Visitor, numwant: usize) -> Vec<u32> {
        let visit = self.announce(visitor);
        let list = self.list(&visitor, &visit, numwant);
        let user = |peer: &[u8]| u32::from_be_bytes([peer[0], peer[1], peer[2], peer[3]]);
        list.peers.chunks(6).map(user).collect()
    }

    fn list(&mut self, visitor: &Visitor, visit: &Visit, numwant: usize) -> PeerList {
        let mut list = PeerList::default();
        list.begin(PeerFormat::Compact, numwant, visitor.endpoint);
        self.torrent
            .sample(visit, visitor.role, &mut list, &mut self.rng);
        list
    }

    fn users(&self) -> HashSet<(u32, u8)> {
        let name =
            |peer: super::super::peer::PeerRef<'_>| (peer.seat.user.0, peer.rest.peer_id.0[0]);
        self.torrent.crowd.iter().map(name).collect()
    }

    fn check(&self) {
        self.torrent.crowd.check();
    }
}

#[test]
fn seeder_gets_leechers_only_and_leecher_gets_both() {
    let mut swarm = Swarm::new();
    for user in 0..10 {
        swarm.announce(visitor(user, 1, Role::Seeder));
        swarm.announce(visitor(100 + user, 1, Role::Leecher));
    }
    swarm.announce(visitor(50, 1, Role::Partial));

    let for_seeder = swarm.ask(visitor(0, 1, Role::Seeder), 200);
    assert_eq!(for_seeder.len(), 10);
    assert!(for_seeder.iter().all(|&user| user >= 100));

    let for_partial = swarm.ask(visitor(50, 1, Role::Partial), 200);
    assert_eq!(for_partial.len(), 10);
    assert!(for_partial.iter().all(|&user| user >= 100));

    let for_leecher = swarm.ask(visitor(100, 1, Role::Leecher), 200);
    assert_eq!(for_leecher.len(), 10 + 1 + 9);
    assert!(!for_leecher.contains(&100));
}

#[test]
fn leecher_gets_half_seeders_when_there_are_enough_of_both() {
    let mut swarm = Swarm::new();
    for user in 0..100 {
        swarm.announce(visitor(user, 1, Role::Seeder));
        swarm.announce(visitor(1000 + user, 1, Role::Leecher));
    }
    for _ in 0..20 {
        let peers = swarm.ask(visitor(1000, 1, Role::Leecher), 30);
        assert_eq!(peers.len(), 30);
        assert_eq!(peers.iter().filter(|&&user| user < 1000).count(), 15);
        assert_eq!(
            peers.iter().collect::<HashSet<_>>().len(),
            30,
            "nobody twice"
        );
    }
}

/// 40 seeders, 25 of them wanted at a time: as many as there are places in the reply, and yet each has its turn.
#[test]
fn leecher_meets_every_seeder_in_time() {
    let mut swarm = Swarm::new();
    for user in 0..40 {
        swarm.announce(visitor(user, 1, Role::Seeder));
    }
    for user in 1000..1100 {
        swarm.announce(visitor(user, 1, Role::Leecher));
    }
    let mut met = HashSet::new();
    for _ in 0..50 {
        met.extend(swarm.ask(visitor(1000, 1, Role::Leecher), 50));
    }
    assert_eq!(met.len(), 40 + 99);
}

#[test]
fn nobody_meets_themselves_under_another_peer_id() {
    let mut swarm = Swarm::new();
    swarm.announce(visitor(1, 1, Role::Leecher));
    let twin = Visitor {
        endpoint: v4(1, 1),
        ..visitor(2, 1, Role::Leecher)
    };
    assert_eq!(swarm.ask(twin, 50), []);
}

/// 200 leechers, 10 at a time, 20,000 times: each is expected 1,000 times, whatever the order of their arrival.
#[test]
fn sample_is_random_and_even() {
    let mut seen = HashMap::<u32, u32>::new();
    for round in 0..100 {
        let mut swarm = Swarm::new();
        swarm.rng = SmallRng::seed_from_u64(round);
        for user in 0..200 {
            swarm
                .torrent
                .announce(
                    &visitor(user, 1, Role::Leecher),
                    RULES,
                    &swarm.slots,
                    &mut swarm.rng,
                )
                .unwrap();
        }
        for _ in 0..200 {
            for user in swarm.ask(visitor(1000, 1, Role::Seeder), 10) {
                *seen.entry(user).or_default() += 1;
            }
        }
    }
    assert_eq!(seen.len(), 200);
    let spread = (seen.values().min(), seen.values().max());
    assert!(
        spread.0 > Some(&700) && spread.1 < Some(&1300),
        "{spread:?}"
    );
}

#[test]
fn ipv4_and_ipv6_announces_are_one_session_with_two_endpoints() {
    let mut swarm = Swarm::new();
    swarm.announce(visitor(1, 1, Role::Leecher));
    let second = swarm.announce(Visitor {
        endpoint: v6(1),
        ..visitor(1, 1, Role::Leecher)
    });
    assert_eq!(second.warning, None, "another family isn't too soon");
    assert_eq!(swarm.torrent.counts().incomplete, 1);

    let seeder = visitor(2, 1, Role::Seeder);
    let visit = swarm.announce(seeder);
    let list = swarm.list(&seeder, &visit, 2);
    assert_eq!((list.peers.len(), list.peers6.len()), (6, 18));
    let list = swarm.list(&seeder, &visit, 1);
    assert_eq!(
        (list.peers.len(), list.peers6.len()),
        (6, 0),
        "numwant counts endpoints"
    );
}

#[test]
fn early_announce_is_warned_and_still_counted() {
    let mut swarm = Swarm::new();
    swarm.announce(visitor(1, 1, Role::Leecher));
    let counters = Counters {
        uploaded: 5,
        downloaded: 0,
    };
    let later = |secs: u32| Visitor {
        now: UnixTime(NOW.0 + secs),
        counters,
        ..visitor(1, 1, Role::Leecher)
    };

    let early = swarm.announce(later(899));
    assert_eq!(early.warning, Some(Warning::TooSoon));
    assert!(early.has_news, "its counters go to the ledger");
    let seeder = Visitor {
        role: Role::Seeder,
        event: Event::Completed,
        ..later(900)
    };
    assert_eq!(
        swarm.announce(seeder).warning,
        None,
        "news has no minimum interval"
    );
    assert_eq!(
        swarm.announce(seeder).warning,
        Some(Warning::TooSoon),
        "but it is news once"
    );
    assert_eq!(swarm.announce(later(1800)).warning, None);
    let other_hash = Visitor {
        hash_tag: 2,
        ..later(1801)
    };
    assert_eq!(
        swarm.announce(other_hash).warning,
        None,
        "a hybrid's other hash"
    );
    assert_eq!(
        swarm.announce(later(0)).warning,
        None,
        "the clock was set back"
    );
}

#[test]
fn client_with_a_short_timer_gets_peers_all_the_same() {
    let mut swarm = Swarm::new();
    let every_600_secs = (0..5).map(|turn| {
        let now = UnixTime(NOW.0 + turn * 600);
        swarm
            .announce(Visitor {
                now,
                ..visitor(1, 1, Role::Leecher)
            })
            .warning
    });
    let early = Some(Warning::TooSoon);
    assert_eq!(
        every_600_secs.collect::<Vec<_>>(),
        [None, early, None, early, None]
    );
}

#[test]
fn restored_sessions_of_a_member_are_the_latest_ones() {
    let mut swarm = Swarm::new();
    for (client, at) in [(1, 4), (2, 2), (3, 5), (4, 3), (5, 1)] {
        let mut peer = Peer::newcomer(UserId(7), PeerId([client; 20]), Role::Leecher);
        peer.as_mut().seen_at(v4(7, client), 1, UnixTime(at));
        swarm.torrent.restore(peer, 3, &swarm.slots, &mut swarm.rng);
        swarm.check();
    }
    assert_eq!(swarm.users(), HashSet::from([(7, 1), (7, 3), (7, 4)]));
}

#[test]
fn newcomer_over_the_limit_waits_or_takes_over() {
    let full = || {
        let mut swarm = Swarm::new();
        for (client, at) in [(1, 2), (2, 1), (3, 3)] {
            let now = UnixTime(NOW.0 + at);
            swarm.announce(Visitor {
                now,
                ..visitor(7, client, Role::Leecher)
            });
        }
        swarm
    };
    let newcomer = Visitor {
        now: UnixTime(NOW.0 + 9),
        ..visitor(7, 4, Role::Leecher)
    };

    let mut swarm = full();
    let visit = swarm.announce(newcomer);
    assert_eq!(visit.warning, Some(Warning::TooManyClients));
    assert_eq!(swarm.users(), HashSet::from([(7, 1), (7, 2), (7, 3)]));

    let mut swarm = full();
    swarm.announce(Visitor {
        event: Event::Started,
        ..newcomer
    });
    assert_eq!(
        swarm.users(),
        HashSet::from([(7, 1), (7, 3), (7, 4)]),
        "the longest silent goes"
    );

    let mut swarm = full();
    swarm.announce(Visitor {
        endpoint: v4(7, 3),
        ..newcomer
    });
    assert_eq!(
        swarm.users(),
        HashSet::from([(7, 1), (7, 2), (7, 4)]),
        "its own past goes"
    );

    let mut swarm = full();
    swarm.announce(Visitor {
        user: UserId(8),
        ..newcomer
    });
    assert_eq!(
        swarm.users().len(),
        4,
        "another member has places of their own"
    );
}

#[test]
fn restarted_client_leaves_no_ghost_in_either_family() {
    let mut swarm = Swarm::new();
    let over_v6 = |client| Visitor {
        endpoint: v6(7),
        ..visitor(7, client, Role::Leecher)
    };
    swarm.announce(over_v6(1));
    // The same client after a crash: first over IPv4, then over IPv6, where its past still stands.
    swarm.announce(visitor(7, 2, Role::Leecher));
    swarm.announce(over_v6(2));
    assert_eq!(swarm.users(), HashSet::from([(7, 2)]));
}

/// What is shed first when the journal runs out of room is what says nothing new.
#[test]
fn announce_has_news_when_anything_but_the_time_is_new() {
    let mut swarm = Swarm::new();
    let regular = visitor(1, 1, Role::Leecher);
    let moved_on = Visitor {
        counters: Counters {
            uploaded: 1,
            downloaded: 0,
        },
        ..regular
    };
    let seeder = Visitor {
        role: Role::Seeder,
        ..moved_on
    };
    let elsewhere = Visitor {
        endpoint: v4(9, 9),
        ..seeder
    };
    let finished = Visitor {
        event: Event::Completed,
        ..elsewhere
    };
    let turns = [
        regular, regular, moved_on, seeder, elsewhere, elsewhere, finished,
    ];
    let news = turns.map(|turn| swarm.announce(turn).has_news);
    assert_eq!(news, [true, false, true, true, true, false, true]);
}

#[test]
fn replay_does_what_the_announces_did() {
    let mut swarm = Swarm::new();
    let record = |client: u8, in_swarm, role, endpoint, at| Record {
        session: SessionKey {
            user: UserId(7),
            torrent: TorrentId(1),
            peer_id: PeerId([client; 20]),
        },
        counters: Counters::default(),
        left: 0,
        role,
        in_swarm,
        event: Event::None,
        at: UnixTime(at),
        endpoint,
    };
    let mut replay = |record| {
        swarm
            .torrent
            .replay(&record, 3, &swarm.slots, &mut swarm.rng);
        swarm.torrent.crowd.check();
    };
    replay(record(1, true, Role::Leecher, v4(7, 1), 1));
    replay(record(1, true, Role::Seeder, v6(7), 2));
    replay(record(2, true, Role::Leecher, v4(7, 2), 3));
    replay(record(2, false, Role::Leecher, v4(7, 2), 4));
    replay(record(3, false, Role::Leecher, v4(7, 3), 5));
    assert_eq!(swarm.users(), HashSet::from([(7, 1)]));
    let counts = swarm.torrent.counts();
    assert_eq!((counts.complete, counts.incomplete), (1, 0));
    let peer = swarm.torrent.crowd.iter().next();
    let both = peer.map(|peer| {
        (
            peer.seat.v4().copied().map(Endpoint::V4),
            peer.v6().copied().map(Endpoint::V6),
        )
    });
    assert_eq!(both, Some((Some(v4(7, 1)), Some(v6(7)))));
}

#[test]
fn sweep_removes_the_silent_in_bounded_steps() {
    let mut swarm = Swarm::new();
    for user in 0..1000 {
        let now = UnixTime(NOW.0 + user % 2);
        let role = if user % 3 == 0 {
            Role::Seeder
        } else {
            Role::Leecher
        };
        let guest = Visitor {
            now,
            ..visitor(user, 1, role)
        };
        swarm
            .torrent
            .announce(&guest, RULES, &swarm.slots, &mut swarm.rng)
            .unwrap();
    }
    // One that lost its IPv6 address long ago keeps the other endpoint.
    swarm.announce(Visitor {
        endpoint: v6(1),
        now: UnixTime(1),
        ..visitor(1, 1, Role::Leecher)
    });
    let mut from = Some(usize::MAX);
    let mut steps = 0;
    while let Some(at) = from {
        from = swarm
            .torrent
            .sweep(at, 100, UnixTime(NOW.0 + 1), |_| true, &swarm.slots);
        swarm.check();
        steps += 1;
    }
    assert_eq!(steps, 10);
    assert_eq!(swarm.torrent.crowd.len(), 500);
    assert!(swarm.users().iter().all(|(user, _)| user % 2 == 1));
    assert!(swarm.torrent.crowd.iter().all(|peer| peer.v6().is_none()));
    assert!(swarm.torrent.crowd.heap_bytes() < 500 * 64);
}

#[test]
fn sweep_removes_members_who_are_not_to_stay() {
    let mut swarm = Swarm::new();
    for user in 1..=3 {
        swarm.announce(visitor(user, 1, Role::Seeder));
    }
    swarm
        .torrent
        .sweep(usize::MAX, 100, NOW, |user| user != UserId(2), &swarm.slots);
    swarm.check();
    assert_eq!(swarm.users(), HashSet::from([(1, 1), (3, 1)]));
}

proptest! {
    /// The swarm against a plain map, whatever comes.
    #[test]
    fn swarm_holds_what_a_plain_map_holds(
        steps in proptest::collection::vec((0u32..12, 0u8..3, 0usize..3, 0usize..4, 0u32..4000), 1..200)
    ) {
        let mut swarm = Swarm::new();
        let mut model = HashMap::new();
        let mut now = NOW;
        for (user, client, role, event, wait) in steps {
            now.0 += wait / 100;
            let role = [Role::Leecher, Role::Seeder, Role::Partial][role];
            // No regular ones: those that come early don't count as a sign of life.
            let event = [Event::Started, Event::Started, Event::Stopped, Event::Started][event];
            swarm.announce(Visitor { now, event, ..visitor(user, client, role) });
            match event {
                Event::Stopped => drop(model.remove(&(user, client))),
                _ => drop(model.insert((user, client), (role, now))),
            }
            if wait > 3900 {
                let oldest = UnixTime(now.0 - 60);
                while swarm.torrent.sweep(usize::MAX, 1 << 20, oldest, |_| true, &swarm.slots).is_some() {}
                model.retain(|_, (_, seen)| *seen >= oldest);
                swarm.check();
            }
        }
        prop_assert_eq!(swarm.users(), model.keys().copied().collect());
        let count = |role| model.values().filter(|peer| peer.0 == role).count() as u32;
        let counts = swarm.torrent.counts();
        prop_assert_eq!(counts.complete, count(Role::Seeder));
        prop_assert_eq!(counts.leechers(), count(Role::Leecher));
        prop_assert_eq!(counts.partial, count(Role::Partial));
    }
}
