//! What traffic counts, as policies have it: split at their edges, entered by the hour, and added to the account in the
//! batch's own transaction. And how long somebody seeded.

use economy::window::{Scope, Window};
use store::{EndedPolicy, NewPolicy, SessionChange};
use tracker_core::accounting::Counters;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};
use tracker_core::registry::UserClass;

use crate::harness::{Database, NOW, change, counters, key, observation};

on_both_databases!(
    traffic_is_entered_by_the_hour_and_counts_as_it_is,
    an_announce_that_spans_an_edge_is_split_there,
    a_hint_is_no_excuse_at_an_edge,
    the_best_for_the_member_counts,
    a_policy_for_a_class_is_for_its_members,
    what_comes_in_pieces_counts_as_much,
    hundredths_of_a_byte_are_not_lost,
    huge_traffic_stops_at_the_top,
    a_policy_ends_and_what_it_was_stays,
    policies_for_the_same_do_not_overlap,
    a_seeder_has_seed_time_for_announces_that_came_in_time,
    seed_time_within_a_batch_is_counted_too,
    many_clients_make_no_more_seed_time_than_one,
    an_old_hint_reaches_back_as_far_as_it_may_be,
);

pub(crate) const HOUR: u32 = 3600;

/// The first second of an hour.
const START: UnixTime = UnixTime(NOW.0 / HOUR * HOUR);

pub(crate) fn at(secs: u32) -> UnixTime {
    UnixTime(START.0 + secs)
}

/// A session's one announce.
pub(crate) fn announce(
    key: SessionKey,
    uploaded: u64,
    downloaded: u64,
    secs: u32,
) -> SessionChange {
    let mut change = change(key, &[counters(uploaded, downloaded)]);
    change.first.at = at(secs);
    (change.first_at, change.announced_at) = (at(secs), at(secs));
    change
}

impl Database {
    pub(crate) async fn policy(
        &self,
        scope: Scope,
        down: u16,
        up: u16,
        from: u32,
        to: Option<u32>,
    ) -> i64 {
        let window = Window {
            scope,
            download_percent: down,
            upload_percent: up,
            starts_at: at(from),
            ends_at: to.map(at),
        };
        let admin = self.admin().await;
        match self
            .store
            .create_policy(&window, "a test", admin, NOW)
            .await
            .unwrap()
        {
            NewPolicy::Made(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn admin(&self) -> UserId {
        match self.store.find_user("admin").await.unwrap() {
            Some(user) => user.id,
            None => self.user("admin").await,
        }
    }

    pub(crate) async fn credited_to(&self, user: UserId) -> Counters {
        self.store.stats(user).await.unwrap().credited
    }
}

async fn traffic_is_entered_by_the_hour_and_counts_as_it_is(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    db.apply(vec![announce(key, 100, 10, 10)]).await;
    db.apply(vec![announce(key, 130, 10, HOUR - 1)]).await;
    db.apply(vec![announce(key, 150, 30, HOUR)]).await;
    // Nothing moved, nothing entered.
    db.apply(vec![announce(key, 150, 30, 2 * HOUR)]).await;
    assert_eq!(db.number("select count(*) from traffic").await, 2);
    for (first, expected) in [
        (
            "select hour from traffic order by hour limit 1",
            i64::from(START.0 / HOUR),
        ),
        ("select uploaded from traffic order by hour limit 1", 130),
        (
            "select counted_uploaded from traffic order by hour limit 1",
            13_000,
        ),
        (
            "select downloaded from traffic order by hour desc limit 1",
            20,
        ),
        (
            "select counted_downloaded from traffic order by hour desc limit 1",
            2_000,
        ),
    ] {
        assert_eq!(db.number(first).await, expected, "{first}");
    }
    assert_eq!(db.credited_to(user).await, counters(150, 30));
}

async fn an_announce_that_spans_an_edge_is_split_there(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.policy(Scope::Global, 0, 200, 100, Some(200)).await;
    db.apply(vec![announce(key, 0, 0, 50)]).await;
    // Half of it before, half within.
    db.apply(vec![announce(key, 1000, 500, 150)]).await;
    assert_eq!(db.credited_to(user).await, counters(500 + 1000, 250));
    // To its last second, and from there.
    db.apply(vec![announce(key, 1050, 550, 200)]).await;
    assert_eq!(db.credited_to(user).await, counters(1500 + 100, 250));
    db.apply(vec![announce(key, 1060, 560, 210)]).await;
    assert_eq!(db.credited_to(user).await, counters(1610, 260));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(1060, 560));
}

/// Memory knows where the session stands, and not when it announced.
async fn a_hint_is_no_excuse_at_an_edge(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.policy(Scope::Global, 0, 100, 100, Some(200)).await;
    let first = db.apply(vec![announce(key, 0, 0, 50)]).await;
    let mut second = announce(key, 0, 1000, 150);
    second.known = first.baselines[0];
    db.apply(vec![second]).await;
    assert_eq!(db.credited_to(user).await, counters(0, 500));
    // Two hours after, no edge is near enough to matter.
    let last = db.apply(vec![announce(key, 0, 2000, 2 * HOUR)]).await;
    let mut later = announce(key, 0, 2600, 4 * HOUR);
    later.known = last.baselines[0];
    db.apply(vec![later]).await;
    let between = db.credited_to(user).await.downloaded;
    assert_eq!(
        between,
        500 + 1000 - 7 + 600,
        "50 of 7050 seconds were free"
    );
}

async fn the_best_for_the_member_counts(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let other = db.user("bob").await;
    db.policy(Scope::Global, 50, 150, 0, None).await;
    db.policy(Scope::Torrent(torrent), 75, 300, 0, None).await;
    db.policy(Scope::User(user), 25, 100, 0, None).await;
    let key2 = key(other, db.torrent(9).await, 2);
    for (uploaded, downloaded, secs) in [(0, 0, 10), (100, 100, 20)] {
        db.apply(vec![
            announce(key1, uploaded, downloaded, secs),
            announce(key2, uploaded, downloaded, secs),
        ])
        .await;
    }
    assert_eq!(db.credited_to(user).await, counters(300, 25));
    assert_eq!(db.credited_to(other).await, counters(150, 50));
}

async fn a_policy_for_a_class_is_for_its_members(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let elite = db.user("eve").await;
    db.execute("update users set class = 'elite' where username = 'eve'")
        .await;
    db.policy(Scope::Class(UserClass::Elite), 0, 100, 0, None)
        .await;
    let key2 = key(elite, torrent, 2);
    for (downloaded, secs) in [(0, 10), (100, 20)] {
        db.apply(vec![
            announce(key1, 0, downloaded, secs),
            announce(key2, 0, downloaded, secs),
        ])
        .await;
    }
    assert_eq!(db.credited_to(user).await, counters(0, 100));
    assert_eq!(db.credited_to(elite).await, counters(0, 0));
}

async fn what_comes_in_pieces_counts_as_much(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let other = db.user("bob").await;
    let key2 = key(other, torrent, 2);
    db.policy(Scope::Global, 33, 133, 0, None).await;
    db.apply(vec![announce(key1, 0, 0, 10), announce(key2, 0, 0, 10)])
        .await;
    for step in 1..=50 {
        db.apply(vec![announce(key1, step, step, 10 + step as u32)])
            .await;
    }
    let mut at_once = announce(key2, 1, 1, 11);
    at_once.rest = (2..=50)
        .map(|step| {
            let mut report = observation(counters(step, step));
            report.at = at(10 + step as u32);
            report
        })
        .collect();
    at_once.announced_at = at(60);
    db.apply(vec![at_once]).await;
    assert_eq!(db.credited_to(user).await, counters(66, 16));
    assert_eq!(db.credited_to(other).await, counters(66, 16));
}

async fn hundredths_of_a_byte_are_not_lost(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.policy(Scope::Global, 1, 101, 0, None).await;
    db.apply(vec![announce(key, 0, 0, 10)]).await;
    for step in 1..=200 {
        db.apply(vec![announce(key, step, step, 10 + step as u32)])
            .await;
    }
    assert_eq!(db.credited_to(user).await, counters(202, 2));
}

async fn huge_traffic_stops_at_the_top(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 10)]).await;
    db.apply(vec![announce(key, u64::MAX, u64::MAX, 20)]).await;
    let mut anew = announce(key, 0, 0, 30);
    anew.first.event = tracker_core::record::Event::Started;
    db.apply(vec![anew]).await;
    db.apply(vec![announce(key, u64::MAX, u64::MAX, 40)]).await;
    let top = i64::MAX as u64;
    assert_eq!(db.store.totals(user).await.unwrap(), counters(top, top));
    assert!(db.credited_to(user).await.uploaded > 1 << 56);
}

async fn a_policy_ends_and_what_it_was_stays(db: Database) {
    let admin = db.admin().await;
    let (user, _, key) = db.one_leecher().await;
    let id = db.policy(Scope::Global, 0, 100, 0, None).await;
    db.apply(vec![announce(key, 0, 0, 50)]).await;
    let end = async |secs| db.store.end_policy(id, admin, at(secs)).await.unwrap();
    assert_eq!(end(100).await, EndedPolicy::Ended);
    assert_eq!(end(101).await, EndedPolicy::Over);
    db.apply(vec![announce(key, 0, 100, 150)]).await;
    assert_eq!(db.credited_to(user).await, counters(0, 50));
    let later = db.policy(Scope::Global, 0, 100, 500, None).await;
    let deleted = db.store.end_policy(later, admin, at(499)).await.unwrap();
    assert_eq!(deleted, EndedPolicy::Deleted);
    let all = db.store.policies(i64::MAX, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].window.ends_at, Some(at(100)));
}

async fn policies_for_the_same_do_not_overlap(db: Database) {
    let admin = db.admin().await;
    let (user, torrent, _) = db.one_leecher().await;
    let first = db.policy(Scope::Global, 0, 100, 100, Some(200)).await;
    let make = async |scope, from, to: Option<u32>| {
        let window = Window {
            scope,
            download_percent: 0,
            upload_percent: 100,
            starts_at: at(from),
            ends_at: to.map(at),
        };
        db.store
            .create_policy(&window, "", admin, NOW)
            .await
            .unwrap()
    };
    for (from, to) in [(199, None), (0, Some(101)), (0, None), (120, Some(130))] {
        assert_eq!(
            make(Scope::Global, from, to).await,
            NewPolicy::Overlaps(first)
        );
    }
    for scope in [
        Scope::User(user),
        Scope::Torrent(torrent),
        Scope::Class(UserClass::Newbie),
        Scope::Class(UserClass::Elite),
    ] {
        assert!(
            matches!(make(scope, 150, None).await, NewPolicy::Made(_)),
            "{scope:?}"
        );
        assert!(
            matches!(make(scope, 150, None).await, NewPolicy::Overlaps(_)),
            "{scope:?}"
        );
    }
    assert!(matches!(
        make(Scope::Global, 200, None).await,
        NewPolicy::Made(_)
    ));
    assert!(matches!(
        make(Scope::Global, 0, Some(100)).await,
        NewPolicy::Made(_)
    ));
}

async fn a_seeder_has_seed_time_for_announces_that_came_in_time(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let seeding = |secs, active| {
        let mut change = announce(key, 0, 0, secs);
        change.role = Role::Seeder;
        change.active = active;
        change
    };
    let seeded = async || db.store.stats(user).await.unwrap().seeded_secs;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    // It downloaded until then.
    db.apply(vec![seeding(1000, true)]).await;
    assert_eq!(seeded().await, 0);
    db.apply(vec![seeding(2800, true)]).await;
    assert_eq!(seeded().await, 1800);
    // Silent for longer than its swarm waits, as the batch says: an hour.
    db.apply(vec![seeding(2800 + 3601, true)]).await;
    assert_eq!(seeded().await, 1800);
    db.apply(vec![seeding(2800 + 7201, false)]).await;
    assert_eq!(seeded().await, 1800 + 3600);
    // Stopped, and back.
    db.apply(vec![seeding(2800 + 7300, true)]).await;
    assert_eq!(seeded().await, 1800 + 3600);
}

async fn seed_time_within_a_batch_is_counted_too(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let seeded = async || db.store.stats(user).await.unwrap().seeded_secs;
    let late = |from, to, secs| {
        let mut change = announce(key, 0, 0, from);
        let mut last = observation(counters(0, 0));
        last.at = at(to);
        change.rest.push(last);
        (change.announced_at, change.seeded_secs) = (at(to), secs);
        change.role = Role::Seeder;
        change
    };
    // New to the database, and gone on for hours of its absence.
    db.apply(vec![late(0, 5 * HOUR, 4 * HOUR)]).await;
    assert_eq!(seeded().await, u64::from(4 * HOUR));
    db.apply(vec![late(6 * HOUR, 8 * HOUR, 2 * HOUR)]).await;
    assert_eq!(seeded().await, u64::from(7 * HOUR));
}

async fn many_clients_make_no_more_seed_time_than_one(db: Database) {
    let (user, torrent, _) = db.one_leecher().await;
    let other = db.torrent(9).await;
    let seeding = |torrent, peer, secs| {
        let mut change = announce(key(user, torrent, peer), 0, 0, secs);
        change.role = Role::Seeder;
        change
    };
    for secs in [0, 1000] {
        let mut all: Vec<_> = (1..=20).map(|peer| seeding(torrent, peer, secs)).collect();
        all.push(seeding(other, 1, secs));
        db.apply(all).await;
    }
    let stats = db.store.stats(user).await.unwrap();
    assert_eq!((stats.seeded_secs, stats.seeding), (2000, 2));
}

/// Whoever makes the batch knows how old its hints may be.
async fn an_old_hint_reaches_back_as_far_as_it_may_be(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.policy(Scope::Global, 0, 100, 100, Some(200)).await;
    let first = db.apply(vec![announce(key, 0, 0, 0)]).await;
    let mut late = announce(key, 0, 1000, 10 * HOUR);
    late.known = first.baselines[0];
    db.apply_hinted(vec![late], at(0)).await;
    // Whole bytes: 2 until the policy began, 5 until it ended.
    assert_eq!(db.credited_to(user).await, counters(0, 1000 - 3));
}
