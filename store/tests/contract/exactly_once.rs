//! A batch is applied whole or not at all, once, and beside others.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use store::{Applied, Batch, Care, StoreError};
use tokio::sync::Barrier;
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{TorrentId, UnixTime, UserId};

use crate::harness::{Database, NOW, batch, change, counters, key};

on_both_databases!(
    a_batch_is_applied_once,
    a_batch_that_does_not_continue_its_journal_is_refused,
    batches_in_any_order_and_number_never_credit_more_than_the_growth,
    journals_have_marks_of_their_own,
    sessions_of_nobody_are_set_aside,
    a_gain_for_nobody_is_set_aside,
    a_refused_batch_is_set_aside_and_the_journal_goes_on,
    a_failed_batch_leaves_nothing,
    writers_of_the_same_rows_lose_nothing,
    an_empty_batch_moves_the_mark,
    a_session_that_another_tracker_moved_on_is_counted_once,
    one_announce_at_several_trackers_is_counted_once,
);

async fn refused(db: &Database, batch: &Batch, care: Care) -> StoreError {
    db.store.apply(batch, care).await.unwrap_err()
}

async fn a_batch_is_applied_once(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    assert_eq!(db.store.mark("here").await.unwrap(), None);
    let grown = change(key, &[counters(0, 0), counters(7, 3)]);
    let batch = batch(0, 5, vec![grown]);

    db.store.apply(&batch, Care::Trusting).await.unwrap();

    for care in [Care::Trusting, Care::Careful] {
        let again = refused(&db, &batch, care).await;
        assert!(
            matches!(again, StoreError::Moved { found: Some(5) }),
            "{again}"
        );
        assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
        assert_eq!(db.store.mark("here").await.unwrap(), Some(5));
    }
}

async fn a_batch_that_does_not_continue_its_journal_is_refused(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let grown = vec![change(key, &[counters(0, 0), counters(7, 3)])];
    let begins_at = |from| batch(from, from + 5, grown.clone());

    let first = refused(&db, &begins_at(1), Care::Trusting).await;
    assert!(
        matches!(first, StoreError::Moved { found: None }),
        "{first}"
    );
    assert_eq!(db.store.mark("here").await.unwrap(), None);

    let empty = batch(0, 5, vec![]);
    db.store.apply(&empty, Care::Trusting).await.unwrap();
    for from in [0, 4, 6] {
        let refused = refused(&db, &begins_at(from), Care::Trusting).await;
        assert!(
            matches!(refused, StoreError::Moved { found: Some(5) }),
            "from {from}: {refused}"
        );
    }
    assert_eq!(db.store.mark("here").await.unwrap(), Some(5));
    assert_eq!(db.store.totals(user).await.unwrap(), Counters::default());
    assert_eq!(db.number("select count(*) from sessions").await, 0);
}

/// A session's records arrive cut into batches, shuffled and several times each: whatever is there at any moment is no
/// more than what the client has moved, and when all have arrived it is exactly that.
async fn batches_in_any_order_and_number_never_credit_more_than_the_growth(db: Database) {
    let mut random = StdRng::seed_from_u64(20_261_124);
    let (user, _, key) = db.one_leecher().await;
    let truth = counters(7 * 9, 3 * 9);
    let reports: Vec<_> = (0..10).map(|n| counters(7 * n, 3 * n)).collect();
    let stretches: Vec<_> = (0..10_u64)
        .map(|n| {
            batch(
                n,
                n + 1,
                vec![change(key, &reports[n as usize..=n as usize])],
            )
        })
        .collect();
    let mut before = Counters::default();
    while db.store.mark("here").await.unwrap() != Some(10) {
        let mut arriving: Vec<_> = stretches.iter().cycle().take(25).collect();
        arriving.shuffle(&mut random);
        for stretch in arriving {
            match db.store.apply(stretch, Care::Trusting).await {
                Ok(_) | Err(StoreError::Moved { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let credit = db.store.totals(user).await.unwrap();
            assert!(credit.uploaded >= before.uploaded && credit.uploaded <= truth.uploaded);
            assert!(
                credit.downloaded >= before.downloaded && credit.downloaded <= truth.downloaded
            );
            before = credit;
        }
    }
    assert_eq!(before, truth);
}

async fn journals_have_marks_of_their_own(db: Database) {
    db.apply_from("here", vec![]).await;
    db.apply_from("here", vec![]).await;
    db.apply_from("there", vec![]).await;

    assert_eq!(db.store.mark("here").await.unwrap(), Some(2));
    assert_eq!(db.store.mark("there").await.unwrap(), Some(1));
    assert_eq!(db.store.mark("elsewhere").await.unwrap(), None);
}

async fn sessions_of_nobody_are_set_aside(db: Database) {
    let (user, torrent, here) = db.one_leecher().await;
    let grown = |key| {
        let mut grown = change(key, &[counters(1, 1), counters(8, 4)]);
        grown.completed_at = Some(NOW);
        grown
    };
    let (nobody, nothing) = (UserId(999), TorrentId(999));
    let orphans = [
        key(user, nothing, 1),
        key(nobody, torrent, 1),
        key(nobody, nothing, 1),
    ];
    let first_sight = |key| change(key, &[counters(1, 1)]);
    let all = batch(
        0,
        4,
        vec![
            grown(here),
            grown(orphans[0]),
            grown(orphans[1]),
            first_sight(orphans[2]),
        ],
    );

    for orphan in orphans {
        let alone = batch(0, 4, vec![first_sight(orphan)]);
        let stale = refused(&db, &alone, Care::Trusting).await;
        assert!(matches!(stale, StoreError::Stale), "{orphan:?}: {stale}");
    }
    let stale = refused(&db, &all, Care::Trusting).await;
    assert!(matches!(stale, StoreError::Stale), "{stale}");
    assert_eq!(db.number("select count(*) from sessions").await, 0);
    let applied = db.store.apply(&all, Care::Careful).await.unwrap();

    let baseline = Baseline::starting_at(counters(8, 4));
    let expected = Applied {
        baselines: vec![Some(baseline), None, None, None],
        growth: counters(7, 3),
        snatches: vec![(torrent, 1)],
        set_aside: 3,
    };
    assert_eq!(applied, expected);
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
    assert_eq!(db.torrent_totals().await, counters(7, 3));
    assert_eq!(db.number("select count(*) from sessions").await, 1);
    assert_eq!(db.number("select count(*) from snatches").await, 1);
    let no_user = "select count(*) from set_aside where reason = 'there is no such user'";
    let no_torrent = "select count(*) from set_aside where reason = 'there is no such torrent'";
    assert_eq!(db.number(no_user).await, 2);
    assert_eq!(db.number(no_torrent).await, 1);
    let told = "select count(*) from set_aside
         where journal = 'here' and position_from = 0 and position_to = 4
             and uploaded = 8 and growth_uploaded = 7 and growth_downloaded = 3 and completed_at = announced_at";
    assert_eq!(db.number(told).await, 2);
}

/// The session is known, and its user or its torrent has gone since.
async fn a_gain_for_nobody_is_set_aside(db: Database) {
    let (ann, one, there) = db.one_leecher().await;
    let (bob, two) = (db.user("bob").await, db.torrent(2).await);
    let sessions = |report| {
        let bobs = change(key(bob, two, 1), &[report]);
        vec![
            change(there, &[report]),
            change(key(ann, two, 1), &[report]),
            bobs,
        ]
    };
    let known = db.apply(sessions(counters(10, 0))).await.baselines;
    db.execute("delete from torrent_metainfo where torrent_id = 2")
        .await;
    db.execute("delete from torrent_files where torrent_id = 2")
        .await;
    db.execute("delete from torrents where id = 2").await;
    assert_eq!((one, two), (TorrentId(1), TorrentId(2)));

    let mut grown = sessions(counters(15, 0));
    for (change, known) in grown.iter_mut().zip(known) {
        change.known = known;
    }
    let next = batch(1, 2, grown);
    let stale = refused(&db, &next, Care::Trusting).await;
    assert!(matches!(stale, StoreError::Stale), "{stale}");
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(0, 0));
    let applied = db.store.apply(&next, Care::Careful).await.unwrap();

    assert_eq!((applied.growth, applied.set_aside), (counters(5, 0), 2));
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(5, 0));
    assert_eq!(db.store.totals(bob).await.unwrap(), counters(0, 0));

    let mut finished = change(there, &[counters(15, 0)]);
    finished.completed_at = Some(NOW);
    finished.known = applied.baselines[0];
    db.execute("delete from users where id = 1").await;
    let next = batch(2, 3, vec![finished]);
    let stale = refused(&db, &next, Care::Trusting).await;
    assert!(matches!(stale, StoreError::Stale), "{stale}");
    let applied = db.store.apply(&next, Care::Careful).await.unwrap();
    assert_eq!((applied.set_aside, applied.snatches.len()), (1, 0));
    assert_eq!(db.number("select count(*) from snatches").await, 0);
}

async fn a_refused_batch_is_set_aside_and_the_journal_goes_on(db: Database) {
    let (user, torrent, here) = db.one_leecher().await;
    let known = db.apply(vec![change(here, &[counters(10, 0)])]).await;
    let mut hinted = change(here, &[counters(17, 3)]);
    hinted.known = known.baselines[0];
    let unhinted = change(key(user, torrent, 2), &[counters(1, 1)]);
    let later = UnixTime(NOW.0 + 60);

    let refused = batch(1, 2, vec![hinted, unhinted]);
    db.store
        .set_aside(&refused, "bad luck", later)
        .await
        .unwrap();

    assert_eq!(db.store.mark("here").await.unwrap(), Some(2));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(0, 0));
    assert_eq!(db.number("select count(*) from sessions").await, 1);
    let told = "select count(*) from set_aside
         where reason = 'bad luck' and created_at = announced_at + 60
             and uploaded = 17 and growth_uploaded = 7 and growth_downloaded = 3";
    assert_eq!(db.number(told).await, 1);
    let untold = "select count(*) from set_aside where uploaded = 1 and growth_uploaded is null";
    assert_eq!(db.number(untold).await, 1);

    let again = db.store.set_aside(&refused, "bad luck", later).await;
    assert!(
        matches!(again, Err(StoreError::Moved { found: Some(2) })),
        "{again:?}"
    );
    assert_eq!(db.number("select count(*) from set_aside").await, 2);
    // Counters are cumulative: nothing is lost if the session goes on.
    let goes_on = db.apply(vec![change(here, &[counters(18, 3)])]).await;
    assert_eq!(goes_on.growth, counters(8, 3));
}

async fn a_failed_batch_leaves_nothing(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let grown = change(key, &[counters(0, 0), counters(7, 3)]);
    let batch = batch(0, 1, vec![grown]);
    // The last table that the batch comes to.
    db.execute("alter table torrents rename column downloaded to elsewhere")
        .await;

    for care in [Care::Trusting, Care::Careful] {
        let refused = refused(&db, &batch, care).await;
        assert!(matches!(refused, StoreError::Other(_)), "{refused}");
    }

    assert_eq!(db.store.mark("here").await.unwrap(), None);
    assert_eq!(db.store.totals(user).await.unwrap(), Counters::default());
    assert_eq!(db.number("select count(*) from sessions").await, 0);

    db.execute("alter table torrents rename column elsewhere to downloaded")
        .await;
    db.store.apply(&batch, Care::Trusting).await.unwrap();
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
}

/// Four trackers at once, each with a session of every member, and with one that all of them hear of.
async fn writers_of_the_same_rows_lose_nothing(db: Database) {
    const TRACKERS: u8 = 4;
    const USERS: u64 = 40;
    const STEPS: u64 = 20;
    let torrent = db.torrent(1).await;
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(db.user(&format!("user {number}")).await);
    }
    let in_step = Arc::new(Barrier::new(TRACKERS.into()));

    let writers: Vec<_> = (0..TRACKERS)
        .map(|tracker| {
            let (db, in_step, users) = (db.clone(), in_step.clone(), users.clone());
            tokio::spawn(async move {
                let journal = format!("tracker {tracker}");
                let mut known = vec![None; 2 * users.len()];
                for step in 0..=STEPS {
                    let mut sessions = Vec::new();
                    for user in &users {
                        for peer in [1, 10 + tracker] {
                            let report = counters(step, 2 * step);
                            sessions.push(change(key(*user, torrent, peer), &[report]));
                        }
                    }
                    for (change, known) in sessions.iter_mut().zip(known) {
                        change.known = known;
                    }
                    in_step.wait().await;
                    known = db.apply_from(&journal, sessions).await.baselines;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }

    let sessions = u64::from(TRACKERS) + 1;
    for user in users {
        assert_eq!(
            db.store.totals(user).await.unwrap(),
            counters(sessions * STEPS, 2 * sessions * STEPS)
        );
    }
    assert_eq!(
        db.torrent_totals().await,
        counters(sessions * USERS * STEPS, 2 * sessions * USERS * STEPS)
    );
}

async fn an_empty_batch_moves_the_mark(db: Database) {
    let empty = batch(0, 9, vec![]);

    let applied = db.store.apply(&empty, Care::Trusting).await.unwrap();

    assert_eq!(applied, Applied::default());
    assert_eq!(db.store.mark("here").await.unwrap(), Some(9));
}

/// What the first tracker remembers of the session is old when it comes back.
async fn a_session_that_another_tracker_moved_on_is_counted_once(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let here = db.apply_from("here", vec![change(key, &[counters(10, 0)])]);
    let known = here.await.baselines[0];
    db.apply_from("there", vec![change(key, &[counters(50, 0)])])
        .await;

    let mut back = change(key, &[counters(50, 0), counters(60, 0)]);
    back.known = known;
    let next = batch(1, 2, vec![back]);
    let stale = refused(&db, &next, Care::Trusting).await;
    let applied = db.store.apply(&next, Care::Careful).await.unwrap();

    assert!(matches!(stale, StoreError::Stale), "{stale}");
    assert_eq!(applied.growth, counters(10, 0));
    assert_eq!(db.store.totals(user).await.unwrap(), counters(50, 0));
}

/// A swarm has moved, its announces are on all the trackers, and none of them knows the session.
async fn one_announce_at_several_trackers_is_counted_once(db: Database) {
    let (user, _, key) = db.one_leecher().await;

    for round in 0..=20 {
        let trackers: Vec<_> = (0..4)
            .map(|tracker| {
                let session = change(key, &[counters(100 * round, 0)]);
                let db = db.clone();
                tokio::spawn(async move {
                    let journal = format!("tracker {tracker}");
                    db.apply_from(&journal, vec![session]).await;
                })
            })
            .collect();
        for tracker in trackers {
            tracker.await.unwrap();
        }
    }

    assert_eq!(db.store.totals(user).await.unwrap(), counters(2_000, 0));
}
