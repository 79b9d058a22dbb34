//! A batch adds exactly what the announces in it earned.

use store::{Applied, Observation, SessionGrowth};
use tracker_core::accounting::Baseline;
use tracker_core::ids::UnixTime;
use tracker_core::record::Role;

use crate::harness::{Database, NOW, batch, change, counters, key, known, unresolved};

on_both_databases!(
    growth_is_added_to_the_session_its_user_and_its_torrent,
    a_second_batch_continues_the_session,
    an_endpoint_that_is_not_reported_is_kept,
    a_session_seen_for_the_first_time_earns_nothing_for_before,
    an_unresolved_session_continues_from_its_stored_baseline,
    a_restart_with_started_begins_a_new_baseline,
    a_suspicion_outlives_the_batch,
    a_snatch_counts_once,
    two_clients_that_finish_together_are_one_snatch,
);

async fn growth_is_added_to_the_session_its_user_and_its_torrent(db: Database) {
    let (user, _, key) = db.one_leecher().await;

    let session = change(key, known(counters(7, 3), counters(107, 53)));
    let applied = db.store.apply(&batch(vec![session])).await.unwrap();

    assert_eq!(
        applied,
        Applied {
            growth: counters(7, 3),
            ..Applied::default()
        }
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
    assert_eq!(db.torrent_totals().await, counters(7, 3));
    assert_eq!(db.credited().await, counters(7, 3));
    let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
    assert_eq!(stored[0].baseline, Baseline::starting_at(counters(107, 53)));
    assert_eq!(db.number("select bytes_left from sessions").await, 5);
}

async fn a_second_batch_continues_the_session(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let first = change(key, known(counters(7, 3), counters(7, 3)));
    let mut second = change(key, known(counters(10, 0), counters(17, 3)));
    second.role = Role::Seeder;
    second.bytes_left = 0;
    second.first_at = UnixTime(NOW.0 + 5);
    second.announced_at = UnixTime(NOW.0 + 9);

    db.store.apply(&batch(vec![first])).await.unwrap();
    db.store.apply(&batch(vec![second])).await.unwrap();

    assert_eq!(db.store.totals(user).await.unwrap(), counters(17, 3));
    assert_eq!(db.credited().await, counters(17, 3));
    let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
    assert_eq!(
        (stored.len(), stored[0].role, stored[0].announced_at.0),
        (1, Role::Seeder, NOW.0 + 9)
    );
    assert_eq!(
        db.number("select started_at from sessions").await,
        i64::from(NOW.0)
    );
    assert_eq!(db.number("select bytes_left from sessions").await, 0);
}

async fn an_endpoint_that_is_not_reported_is_kept(db: Database) {
    let (_, _, key) = db.one_leecher().await;
    let mut over4 = change(key, unresolved(&[counters(0, 0)]));
    over4.endpoint4 = Some([4; 6]);
    let mut over6 = over4.clone();
    (over6.endpoint4, over6.endpoint6) = (None, Some([6; 18]));

    db.store.apply(&batch(vec![over4])).await.unwrap();
    db.store.apply(&batch(vec![over6])).await.unwrap();

    let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
    assert_eq!(
        (stored[0].endpoint4, stored[0].endpoint6),
        (Some([4; 6]), Some([6; 18]))
    );
}

async fn a_session_seen_for_the_first_time_earns_nothing_for_before(db: Database) {
    let (user, _, key) = db.one_leecher().await;

    let session = change(key, unresolved(&[counters(500, 400), counters(510, 404)]));
    let applied = db.store.apply(&batch(vec![session])).await.unwrap();

    assert_eq!(applied.growth, counters(10, 4));
    assert_eq!(
        applied.resolved,
        [(key, Baseline::starting_at(counters(510, 404)))]
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(10, 4));
}

async fn an_unresolved_session_continues_from_its_stored_baseline(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let key2 = key(user, torrent, 2);
    let both = |one, two| batch(vec![change(key1, one), change(key2, two)]);
    let first = both(
        known(counters(0, 0), counters(100, 50)),
        known(counters(0, 0), counters(1, 1)),
    );
    db.store.apply(&first).await.unwrap();

    let second = both(
        unresolved(&[counters(130, 50)]),
        unresolved(&[counters(1, 9)]),
    );
    let applied = db.store.apply(&second).await.unwrap();

    let resolved = [
        (key1, Baseline::starting_at(counters(130, 50))),
        (key2, Baseline::starting_at(counters(1, 9))),
    ];
    assert_eq!(
        (applied.growth, applied.resolved.as_slice()),
        (counters(30, 8), resolved.as_slice())
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(30, 8));
}

async fn a_restart_with_started_begins_a_new_baseline(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let first = change(key, known(counters(100, 50), counters(100, 50)));
    db.store.apply(&batch(vec![first])).await.unwrap();

    let restarted = SessionGrowth::Unresolved(vec![
        Observation {
            counters: counters(0, 0),
            started: true,
        },
        Observation {
            counters: counters(8, 2),
            started: false,
        },
    ]);
    let applied = db
        .store
        .apply(&batch(vec![change(key, restarted)]))
        .await
        .unwrap();

    assert_eq!(applied.growth, counters(8, 2));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(108, 52));
}

async fn a_suspicion_outlives_the_batch(db: Database) {
    let (_, _, key) = db.one_leecher().await;
    let steps = [
        counters(100, 50),
        counters(40, 20),
        counters(41, 20),
        counters(45, 21),
    ];

    let mut growth = Vec::new();
    for reported in steps {
        let session = change(key, unresolved(&[reported]));
        growth.push(db.store.apply(&batch(vec![session])).await.unwrap().growth);
    }

    assert_eq!(
        growth,
        [
            counters(0, 0),
            counters(0, 0),
            counters(0, 0),
            counters(4, 1)
        ]
    );
}

async fn a_snatch_counts_once(db: Database) {
    let (_, torrent, key) = db.one_leecher().await;
    let mut finished = change(key, known(counters(0, 0), counters(0, 30)));
    finished.completed_at = Some(NOW);
    let mut again = finished.clone();
    again.completed_at = Some(UnixTime(NOW.0 + 60));

    let first = db.store.apply(&batch(vec![finished])).await.unwrap();
    let second = db.store.apply(&batch(vec![again])).await.unwrap();

    assert_eq!(
        (first.snatches, second.snatches),
        (vec![(torrent, 1)], vec![])
    );
    assert_eq!(
        db.store.torrent(torrent).await.unwrap().unwrap().completed,
        1
    );
    assert_eq!(
        db.number("select completed_at from snatches").await,
        i64::from(NOW.0)
    );
}

async fn two_clients_that_finish_together_are_one_snatch(db: Database) {
    let (ann, torrent, key1) = db.one_leecher().await;
    let bob = db.user("bob").await;
    let finish = |key, at| {
        let mut finished = change(key, known(counters(0, 0), counters(0, 30)));
        finished.completed_at = Some(UnixTime(at));
        finished
    };
    let sessions = vec![
        finish(key1, NOW.0 + 2),
        finish(key(ann, torrent, 2), NOW.0 + 1),
        finish(key(bob, torrent, 3), NOW.0 + 3),
    ];

    let applied = db.store.apply(&batch(sessions)).await.unwrap();

    assert_eq!(applied.snatches, [(torrent, 2)]);
    assert_eq!(
        db.store.torrent(torrent).await.unwrap().unwrap().completed,
        2
    );
    assert_eq!(
        db.number("select min(completed_at) from snatches").await,
        i64::from(NOW.0) + 1
    );
}
