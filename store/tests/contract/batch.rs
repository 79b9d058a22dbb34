//! A batch adds exactly what the announces in it earned.

use store::{Applied, Care, StoreError};
use tracker_core::accounting::{Baseline, Suspect, SuspectKind};
use tracker_core::ids::UnixTime;
use tracker_core::record::{Event, Role};

use crate::harness::{Database, NOW, batch, change, counters, key, observation};

on_both_databases!(
    growth_is_added_to_the_session_its_user_and_its_torrent,
    a_second_batch_continues_the_session,
    an_endpoint_that_is_not_reported_is_kept,
    a_session_seen_for_the_first_time_earns_nothing_for_before,
    a_session_without_a_hint_continues_from_its_stored_baseline,
    a_right_hint_is_taken_for_the_stored_baseline,
    a_restart_with_started_begins_a_new_baseline,
    a_late_copy_of_stopped_earns_nothing,
    a_suspicion_outlives_the_batch,
    a_wrong_hint_changes_nothing_until_care_is_taken,
    a_hint_for_a_session_that_is_not_stored_is_wrong,
    a_snatch_counts_once,
    two_clients_that_finish_together_are_one_snatch,
    totals_stop_at_the_top,
    a_baseline_stops_at_the_top_with_and_without_a_hint,
);

async fn growth_is_added_to_the_session_its_user_and_its_torrent(db: Database) {
    let (user, _, key) = db.one_leecher().await;

    let session = change(key, &[counters(100, 50), counters(107, 53)]);
    let applied = db.apply(vec![session]).await;

    let baseline = Baseline::starting_at(counters(107, 53));
    let expected = Applied {
        baselines: vec![Some(baseline)],
        growth: counters(7, 3),
        ..Applied::default()
    };
    assert_eq!(applied, expected);
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
    assert_eq!(db.torrent_totals().await, counters(7, 3));
    assert_eq!(db.credited().await, counters(7, 3));
    let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
    assert_eq!(stored[0].baseline, baseline);
    assert_eq!(db.number("select bytes_left from sessions").await, 5);
}

async fn a_second_batch_continues_the_session(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let first = change(key, &[counters(0, 0), counters(7, 3)]);
    let mut second = change(key, &[counters(17, 3)]);
    second.role = Role::Seeder;
    second.bytes_left = 0;
    second.first_at = UnixTime(NOW.0 + 5);
    second.announced_at = UnixTime(NOW.0 + 9);

    db.apply(vec![first]).await;
    db.apply(vec![second]).await;

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
    let mut over4 = change(key, &[counters(0, 0)]);
    over4.endpoint4 = Some([4; 6]);
    let mut over6 = over4.clone();
    (over6.endpoint4, over6.endpoint6) = (None, Some([6; 18]));

    db.apply(vec![over4]).await;
    db.apply(vec![over6]).await;

    let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
    assert_eq!(
        (stored[0].endpoint4, stored[0].endpoint6),
        (Some([4; 6]), Some([6; 18]))
    );
}

async fn a_session_seen_for_the_first_time_earns_nothing_for_before(db: Database) {
    let (user, _, key) = db.one_leecher().await;

    let session = change(key, &[counters(500, 400), counters(510, 404)]);
    let applied = db.apply(vec![session]).await;

    assert_eq!(applied.growth, counters(10, 4));
    assert_eq!(
        applied.baselines,
        [Some(Baseline::starting_at(counters(510, 404)))]
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(10, 4));
}

async fn a_session_without_a_hint_continues_from_its_stored_baseline(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let key2 = key(user, torrent, 2);
    db.apply(vec![
        change(key1, &[counters(100, 50)]),
        change(key2, &[counters(1, 1)]),
    ])
    .await;

    let continued = vec![
        change(key1, &[counters(130, 50)]),
        change(key2, &[counters(1, 9)]),
    ];
    let applied = db.apply(continued).await;

    let baselines = [
        Some(Baseline::starting_at(counters(130, 50))),
        Some(Baseline::starting_at(counters(1, 9))),
    ];
    assert_eq!(
        (applied.growth, applied.baselines.as_slice()),
        (counters(30, 8), baselines.as_slice())
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(30, 8));
}

async fn a_right_hint_is_taken_for_the_stored_baseline(db: Database) {
    let (user, torrent, key1) = db.one_leecher().await;
    let (key2, key3) = (key(user, torrent, 2), key(user, torrent, 3));
    let first = vec![
        change(key1, &[counters(100, 50)]),
        change(key2, &[counters(1, 1)]),
    ];
    let known = db.apply(first).await.baselines;

    let mut hinted = change(key1, &[counters(130, 50), counters(131, 51)]);
    hinted.known = known[0];
    let read = change(key2, &[counters(3, 1)]);
    let new = change(key3, &[counters(1000, 1000), counters(1005, 1000)]);
    let next = batch(1, 2, vec![hinted, read, new]);
    let applied = db.store.apply(&next, Care::Trusting).await.unwrap();

    assert_eq!(applied.growth, counters(38, 1));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(38, 1));
    assert_eq!(db.number("select count(*) from sessions").await, 3);
}

async fn a_restart_with_started_begins_a_new_baseline(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![change(key, &[counters(0, 0), counters(100, 50)])])
        .await;

    let mut restarted = change(key, &[counters(0, 0), counters(8, 2)]);
    restarted.first.event = Event::Started;
    let applied = db.apply(vec![restarted]).await;

    assert_eq!(applied.growth, counters(8, 2));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(108, 52));
}

/// Paused and gone on under the same peer id: the copy of `stopped` that comes last is known in the next batch too.
async fn a_late_copy_of_stopped_earns_nothing(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let says = |uploaded, event| {
        let mut change = change(key, &[counters(uploaded, 0)]);
        change.first.event = event;
        vec![change]
    };
    db.apply(says(0, Event::Started)).await;
    db.apply(says(500, Event::Stopped)).await;
    db.apply(says(0, Event::Started)).await;
    let copy = db.apply(says(500, Event::Stopped)).await;
    assert_eq!(copy.growth, counters(0, 0));
    db.apply(says(10, Event::None)).await;
    assert_eq!(db.store.totals(user).await.unwrap(), counters(510, 0));
}

/// Each row: what is reported, what it earns, and what is suspected then. With hints and without.
async fn a_suspicion_outlives_the_batch(db: Database) {
    let (ann, torrent, forgotten) = db.one_leecher().await;
    let remembered = key(ann, torrent, 2);
    let fell = |uploaded, downloaded, repeated| {
        let kind = if repeated {
            SuspectKind::Repeated
        } else {
            SuspectKind::Fell
        };
        Some(Suspect {
            counters: counters(uploaded, downloaded),
            kind,
        })
    };
    let steps = [
        ((100, 50), (0, 0), None),
        ((40, 20), (0, 0), fell(40, 20, false)),
        ((101, 50), (1, 0), None),
        ((40, 20), (0, 0), fell(40, 20, false)),
        ((40, 20), (0, 0), fell(40, 20, true)),
        ((40, 20), (0, 0), fell(40, 20, true)),
        ((45, 21), (5, 1), None),
        ((4, 2), (0, 0), fell(4, 2, false)),
        ((5, 2), (0, 0), None),
        ((9, 2), (4, 0), None),
    ];

    let mut known = None;
    for (step, (reported, earned, suspect)) in (0..).zip(steps) {
        let reports = [counters(reported.0, reported.1)];
        let mut hinted = change(remembered, &reports);
        hinted.known = known;
        let next = batch(step, step + 1, vec![change(forgotten, &reports), hinted]);
        let applied = db.store.apply(&next, Care::Trusting).await.unwrap();

        let growth = counters(2 * earned.0, 2 * earned.1);
        assert_eq!(applied.growth, growth, "step {step}");
        assert_eq!(applied.baselines[0], applied.baselines[1], "step {step}");
        let stored = db.store.active_sessions(NOW, None, 10).await.unwrap();
        assert_eq!(stored[0].baseline.suspect, suspect, "step {step}");
        assert_eq!(Some(stored[1].baseline), applied.baselines[1]);
        known = applied.baselines[1];
    }
}

/// A wrong hint in each of its parts.
async fn a_wrong_hint_changes_nothing_until_care_is_taken(db: Database) {
    let (ann, torrent, key1) = db.one_leecher().await;
    let key2 = key(ann, torrent, 2);
    let suspect = |uploaded, kind| {
        Some(Suspect {
            counters: counters(uploaded, 5),
            kind,
        })
    };
    let stored = db
        .apply(vec![
            change(key1, &[counters(100, 50), counters(40, 5)]),
            change(key2, &[counters(1, 1)]),
        ])
        .await;
    let right = stored.baselines[0].unwrap();
    assert_eq!(right.suspect, suspect(40, SuspectKind::Fell));
    let mut wrong = vec![
        Baseline::starting_at(right.counters),
        Baseline {
            suspect: suspect(40, SuspectKind::Repeated),
            ..right
        },
        Baseline {
            suspect: suspect(41, SuspectKind::Fell),
            ..right
        },
    ];
    for counters in [counters(99, 50), counters(100, 51)] {
        wrong.push(Baseline { counters, ..right });
    }

    let mistaken = |known| {
        let mut mistaken = change(key1, &[counters(105, 50)]);
        mistaken.known = Some(known);
        batch(1, 2, vec![mistaken, change(key2, &[counters(3, 1)])])
    };

    for &known in &wrong {
        let refused = db.store.apply(&mistaken(known), Care::Trusting).await;
        assert!(
            matches!(refused, Err(StoreError::Stale)),
            "{known:?}: {refused:?}"
        );
        assert_eq!(db.store.mark("here").await.unwrap(), Some(1));
        assert_eq!(db.store.totals(ann).await.unwrap(), counters(0, 0));
        let sum = "select cast(sum(uploaded) as bigint) from sessions";
        assert_eq!(db.number(sum).await, 101);
    }

    let careful = db.store.apply(&mistaken(wrong[0]), Care::Careful).await;
    assert_eq!(careful.unwrap().growth, counters(7, 0));
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(7, 0));
    assert_eq!(db.store.mark("here").await.unwrap(), Some(2));
}

async fn a_hint_for_a_session_that_is_not_stored_is_wrong(db: Database) {
    let (ann, _, key) = db.one_leecher().await;
    let mut mistaken = change(key, &[counters(10, 5), counters(11, 5)]);
    mistaken.known = Some(Baseline::default());
    let batch = batch(0, 1, vec![mistaken]);

    let refused = db.store.apply(&batch, Care::Trusting).await.unwrap_err();
    let applied = db.store.apply(&batch, Care::Careful).await.unwrap();

    assert!(matches!(refused, StoreError::Stale), "{refused}");
    assert_eq!(applied.growth, counters(1, 0));
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(1, 0));
}

async fn a_snatch_counts_once(db: Database) {
    let (_, torrent, key) = db.one_leecher().await;
    let mut finished = change(key, &[counters(0, 30)]);
    finished.completed_at = Some(NOW);
    let mut again = finished.clone();
    again.completed_at = Some(UnixTime(NOW.0 + 60));

    let first = db.apply(vec![finished]).await;
    let second = db.apply(vec![again]).await;

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
        let mut finished = change(key, &[counters(0, 30)]);
        finished.completed_at = Some(UnixTime(at));
        finished
    };
    let sessions = vec![
        finish(key1, NOW.0 + 2),
        finish(key(ann, torrent, 2), NOW.0 + 1),
        finish(key(bob, torrent, 3), NOW.0 + 3),
    ];

    let applied = db.apply(sessions).await;

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

async fn totals_stop_at_the_top(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let top = i64::MAX as u64;
    let mut grown = change(key, &[counters(1, 0), counters(top, u64::MAX)]);
    grown.first.event = Event::Started;

    for _ in 0..2 {
        db.apply(vec![grown.clone()]).await;
    }

    assert_eq!(db.store.totals(user).await.unwrap(), counters(top, top));
    assert_eq!(db.torrent_totals().await, counters(top, top));
    assert_eq!(db.credited().await, counters(top, top));
}

/// To fall from what the database can't hold isn't to fall: a hint must not know better.
async fn a_baseline_stops_at_the_top_with_and_without_a_hint(db: Database) {
    let (ann, torrent, key1) = db.one_leecher().await;
    let key2 = key(ann, torrent, 2);
    let both = |counters| vec![change(key1, &[counters]), change(key2, &[counters])];
    let known = db.apply(both(counters(u64::MAX, 0))).await.baselines;

    let mut lower = both(counters(u64::MAX - 9, 0));
    lower[0].known = known[0];
    lower[0].rest = vec![observation(counters(u64::MAX - 8, 0))];
    let next = batch(1, 2, lower);
    let applied = db.store.apply(&next, Care::Trusting).await.unwrap();

    let top = Baseline::starting_at(counters(i64::MAX as u64, 0));
    assert_eq!(applied.baselines, [Some(top), Some(top)]);
    assert_eq!(applied.growth, counters(0, 0));
}
