#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use std::thread;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::accounting::{Baseline, Counters};
use crate::ids::{InfoHash, PeerId, TorrentId, UnixTime};
use crate::record::{Endpoint, Event, Record, Role, SessionKey};
use crate::refusal::Refusal;
use crate::registry::{RegisteredTorrent, TorrentStatus};
use crate::session::StoredSession;
use crate::swarm::{Entry, Hashes, Rules, Swarms, Visitor};

const LIMIT: u32 = 2;
const MEMBERS: u32 = 3;
const TORRENTS: u32 = 4;

fn hash(torrent: u32) -> InfoHash {
    InfoHash([torrent as u8; 20])
}

fn row(torrent: u32, hashes: Hashes, status: TorrentStatus) -> RegisteredTorrent {
    RegisteredTorrent {
        id: TorrentId(torrent),
        info_hash: hashes.first,
        info_hash_v2: hashes.v2,
        status,
        completed: 0,
    }
}

/// Either of its two hashes alone, or both, in either order.
fn hashes(torrent: u32, which: usize) -> Hashes {
    let (one, other) = (hash(torrent), hash(torrent + TORRENTS));
    let (first, v2) = [
        (one, None),
        (one, Some(other)),
        (other, Some(one)),
        (other, None),
    ][which];
    Hashes { first, v2 }
}

fn swarms(torrents: u32) -> Swarms {
    let swarms = Swarms::default();
    for torrent in 0..torrents {
        let first = hash(torrent);
        swarms.put_torrent(&row(
            torrent,
            Hashes { first, v2: None },
            TorrentStatus::Open,
        ));
    }
    swarms
}

/// Few addresses, and clients move: so they find their own ghosts there.
fn visitor(user: u32, client: u8, role: Role, event: Event, now: UnixTime) -> Visitor {
    let port = client / 2 + now.0 as u8 % 2;
    Visitor {
        user: UserId(user),
        peer_id: PeerId([client; 20]),
        counters: Counters::default(),
        role,
        event,
        endpoint: Endpoint::V4([10, 0, 0, user as u8, 1, port]),
        hash_tag: 1,
        now,
    }
}

fn announce(swarms: &Swarms, hash: &InfoHash, visitor: &Visitor) -> Result<(), Refusal> {
    let rules = Rules {
        min_interval_secs: 0,
        max_clients: 2,
        download_slots: LIMIT,
    };
    let mut rng = SmallRng::seed_from_u64(1);
    let announce = |torrent: &mut super::super::Torrent| {
        let visit = torrent.announce(visitor, rules, &swarms.slots, &mut rng);
        visit.map(drop)
    };
    swarms.with_any(hash, announce)
}

/// The swarms that count in which a member leeches, by looking at everybody in all of them.
fn recount(swarms: &Swarms, user: UserId) -> BTreeSet<InfoHash> {
    let counted = swarms
        .entries
        .iter()
        .filter_map(|entry| match entry.value() {
            Entry::Swarm(torrent) => {
                let counts = torrent.id.is_some() && torrent.status != TorrentStatus::Closed;
                (counts && torrent.leechers().any(|leecher| leecher == user))
                    .then_some(*entry.key())
            }
            Entry::Alias(_) => None,
        });
    counted.collect()
}

/// Where a hash leads, if downloads count there.
fn counting(swarms: &Swarms, hash: InfoHash) -> Option<InfoHash> {
    let first = match swarms.entries.get(&hash)?.value() {
        Entry::Alias(first) => *first,
        Entry::Swarm(_) => hash,
    };
    let torrent = swarms.lock(&first)?;
    (torrent.id.is_some() && torrent.status != TorrentStatus::Closed).then_some(first)
}

#[derive(Clone, Debug)]
enum Step {
    Announce(Event, Role),
    Restore(Role),
    Replay(bool, Role),
    Sweep { disabled: bool },
    Put(usize, TorrentStatus),
    Remove,
}

fn step() -> impl Strategy<Value = Step> {
    let role = || {
        prop::sample::select(vec![
            Role::Leecher,
            Role::Leecher,
            Role::Seeder,
            Role::Partial,
        ])
    };
    let events = vec![
        Event::Started,
        Event::None,
        Event::Completed,
        Event::Stopped,
    ];
    let statuses = vec![
        TorrentStatus::Open,
        TorrentStatus::Open,
        TorrentStatus::Pending,
        TorrentStatus::Closed,
    ];
    prop_oneof![
        12 => (prop::sample::select(events), role()).prop_map(|(event, role)| Step::Announce(event, role)),
        2 => role().prop_map(Step::Restore),
        2 => (any::<bool>(), role()).prop_map(|(stays, role)| Step::Replay(stays, role)),
        1 => any::<bool>().prop_map(|disabled| Step::Sweep { disabled }),
        3 => (0usize..4, prop::sample::select(statuses))
            .prop_map(|(which, status)| Step::Put(which, status)),
        1 => Just(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever happens, a member has as many slots as a look at all swarms finds, and is refused when that says so.
    #[test]
    fn slots_are_what_a_recount_finds(
        steps in prop::collection::vec((step(), 0u32..=MEMBERS, 0u8..5, 0u32..2 * TORRENTS), 1..120)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let swarms = swarms(TORRENTS);
        let mut rng = SmallRng::seed_from_u64(1);
        for (now, (step, user, client, torrent)) in (100..).zip(steps) {
            let now = UnixTime(now);
            // One of them is no member, but somebody without a key.
            let user = if user == MEMBERS { UserId::nobody(7).0 } else { user };
            let guest = |event, role| visitor(user, client, role, event, now);
            let key = SessionKey { user: UserId(user), torrent: TorrentId(torrent % TORRENTS), peer_id: PeerId([client; 20]) };
            match step.clone() {
                Step::Announce(event, role) => {
                    let counting = counting(&swarms, hash(torrent));
                    if !UserId(user).is_member() && counting.is_some() {
                        continue;
                    }
                    let before = recount(&swarms, UserId(user));
                    let is_new = counting.is_some_and(|hash| !before.contains(&hash));
                    let refused = is_new
                        && role == Role::Leecher
                        && event != Event::Stopped
                        && before.len() as u32 >= LIMIT;
                    let expected = if refused { Err(Refusal::DownloadSlots(LIMIT)) } else { Ok(()) };
                    let peers = [Role::Leecher, Role::Seeder, Role::Partial].map(|role| swarms.peers(role));
                    prop_assert_eq!(announce(&swarms, &hash(torrent), &guest(event, role)), expected);
                    if refused {
                        let after = [Role::Leecher, Role::Seeder, Role::Partial].map(|role| swarms.peers(role));
                        prop_assert_eq!(after, peers);
                    }
                }
                Step::Restore(role) => {
                    let stored = StoredSession {
                        key,
                        baseline: Baseline::default(),
                        role,
                        endpoint4: Some([10, 0, 0, 9, 1, client]),
                        endpoint6: None,
                        announced_at: now,
                    };
                    swarms.restore(&stored, 2, &mut rng);
                }
                Step::Replay(in_swarm, role) => {
                    let record = Record {
                        session: key,
                        counters: Counters::default(),
                        left: 0,
                        role,
                        in_swarm,
                        event: Event::None,
                        at: now,
                        endpoint: Endpoint::V4([10, 0, 0, 9, 1, client]),
                    };
                    swarms.replay(&record, 2, &mut rng);
                }
                Step::Sweep { disabled } => {
                    let stays = |who: UserId| !disabled || who.0 != user;
                    runtime.block_on(swarms.sweep(UnixTime(now.0 - 20), stays, async || {}));
                }
                Step::Put(which, status) => {
                    swarms.put_torrent(&row(torrent % TORRENTS, hashes(torrent % TORRENTS, which), status));
                }
                Step::Remove => swarms.remove_torrent(TorrentId(torrent % TORRENTS)),
            }
            for member in 0..MEMBERS {
                let found = recount(&swarms, UserId(member)).len() as u32;
                prop_assert_eq!(swarms.slots.taken(UserId(member)), found, "member {} after {:?}", member, step);
            }
        }
    }
}

/// 64 torrents in as many shards as chance gives, and a limit of two.
#[test]
fn announces_that_race_do_not_exceed_the_limit() {
    for _ in 0..50 {
        let swarms = swarms(64);
        let let_in = AtomicU32::new(0);
        let barrier = std::sync::Barrier::new(8);
        let (swarms, let_in, barrier) = (&swarms, &let_in, &barrier);
        thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    barrier.wait();
                    for torrent in (0..64).filter(|torrent| torrent % 8 == thread) {
                        let start = visitor(1, 0, Role::Leecher, Event::Started, UnixTime(100));
                        if announce(swarms, &hash(torrent), &start).is_ok() {
                            let_in.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(let_in.load(Relaxed), LIMIT);
        assert_eq!(recount(swarms, UserId(1)).len() as u32, LIMIT);
    }
}

/// Threads that come, go, finish and fall silent at once: afterwards every slot is back.
#[test]
fn slots_are_all_given_back_however_threads_race() {
    let swarms = swarms(8);
    let swarms = &swarms;
    thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                for round in 0..2000u32 {
                    let torrent = hash((round * 7 + u32::from(thread)) % 8);
                    let event =
                        [Event::Started, Event::Completed, Event::Stopped][round as usize % 3];
                    let role = [Role::Leecher, Role::Seeder][usize::from(round % 3 == 1)];
                    let guest = visitor(round % 2, thread, role, event, UnixTime(100));
                    let _ = announce(swarms, &torrent, &guest);
                }
            });
        }
        scope.spawn(|| {
            for round in 0..500u32 {
                let status = [TorrentStatus::Closed, TorrentStatus::Open][round as usize % 2];
                match round % 5 {
                    0 => swarms.remove_torrent(TorrentId(0)),
                    1 => swarms.put_torrent(&row(0, hashes(0, 0), TorrentStatus::Open)),
                    _ => swarms.put_torrent(&row(1, hashes(1, 0), status)),
                }
            }
        });
    });
    for user in 0..2 {
        let found = recount(swarms, UserId(user)).len() as u32;
        assert_eq!(swarms.slots.taken(UserId(user)), found);
    }
}
