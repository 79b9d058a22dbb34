//! A batch is applied whole or not at all, once, and beside others.

use store::{Applied, Batch};
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UserId};

use crate::harness::{Database, NOW, batch, change, counters, key, known, mark, unresolved};

on_both_databases!(
    a_mark_is_applied_once,
    journals_have_marks_of_their_own,
    orphans_are_left_out_and_counted,
    totals_stop_at_the_top,
    a_failed_batch_leaves_nothing,
    writers_of_the_same_rows_wait_for_each_other,
    an_empty_batch_moves_the_mark,
    one_announce_at_several_nodes_is_counted_once,
);

async fn a_mark_is_applied_once(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    assert_eq!(db.store.mark("here").await.unwrap(), None);
    let session = change(key, known(counters(7, 3), counters(7, 3)));
    let batch = Batch {
        sessions: vec![session],
        mark: mark(5),
    };

    let once = db.store.apply(&batch).await.unwrap();
    let twice = db.store.apply(&batch).await.unwrap();
    let older = db
        .store
        .apply(&Batch {
            mark: mark(4),
            ..batch.clone()
        })
        .await
        .unwrap();
    assert_eq!(
        once,
        Applied {
            growth: counters(7, 3),
            ..Applied::default()
        }
    );
    assert_eq!(
        (&twice, &older),
        (
            &Applied {
                already: true,
                ..Applied::default()
            },
            &twice
        )
    );
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
    assert_eq!(db.store.mark("here").await.unwrap(), Some(5));

    let newer = db
        .store
        .apply(&Batch {
            mark: mark(6),
            ..batch
        })
        .await
        .unwrap();
    assert!(!newer.already);
    assert_eq!(db.store.mark("here").await.unwrap(), Some(6));
}

async fn journals_have_marks_of_their_own(db: Database) {
    db.store
        .apply(&Batch {
            sessions: vec![],
            mark: mark(5),
        })
        .await
        .unwrap();

    assert_eq!(db.store.mark("there").await.unwrap(), None);
    assert_eq!(db.store.mark("here").await.unwrap(), Some(5));
}

async fn orphans_are_left_out_and_counted(db: Database) {
    let (user, torrent, here) = db.one_leecher().await;
    let grown = |key| {
        let mut grown = change(key, known(counters(7, 3), counters(7, 3)));
        grown.completed_at = Some(NOW);
        grown
    };
    let sessions = vec![
        grown(here),
        grown(key(user, TorrentId(999), 1)),
        grown(key(UserId(999), torrent, 1)),
        change(
            key(UserId(999), TorrentId(999), 1),
            unresolved(&[counters(1, 1)]),
        ),
    ];

    let applied = db.store.apply(&batch(sessions)).await.unwrap();

    let expected = Applied {
        growth: counters(7, 3),
        snatches: vec![(torrent, 1)],
        orphans: 3,
        ..Applied::default()
    };
    assert_eq!(applied, expected);
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
    assert_eq!(db.torrent_totals().await, counters(7, 3));
    assert_eq!(db.number("select count(*) from sessions").await, 1);
    assert_eq!(db.number("select count(*) from snatches").await, 1);
}

async fn totals_stop_at_the_top(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let top = i64::MAX as u64;
    let grown = || {
        change(
            key,
            known(counters(top - 1, u64::MAX), counters(top, u64::MAX)),
        )
    };

    db.store.apply(&batch(vec![grown()])).await.unwrap();
    db.store.apply(&batch(vec![grown()])).await.unwrap();

    assert_eq!(db.store.totals(user).await.unwrap(), counters(top, top));
    assert_eq!(db.torrent_totals().await, counters(top, top));
    assert_eq!(db.credited().await, counters(top, top));
}

async fn a_failed_batch_leaves_nothing(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let session = change(key, known(counters(7, 3), counters(7, 3)));
    let batch = Batch {
        sessions: vec![session],
        mark: mark(1),
    };
    // The last table that the batch comes to.
    db.execute("alter table torrents rename column downloaded to elsewhere")
        .await;

    db.store.apply(&batch).await.unwrap_err();

    assert_eq!(db.store.mark("here").await.unwrap(), None);
    assert_eq!(db.store.totals(user).await.unwrap(), Counters::default());
    assert_eq!(db.number("select count(*) from sessions").await, 0);

    db.execute("alter table torrents rename column elsewhere to downloaded")
        .await;
    assert!(!db.store.apply(&batch).await.unwrap().already);
    assert_eq!(db.store.totals(user).await.unwrap(), counters(7, 3));
}

/// Two nodes, whose members are the same: neither deadlocks, nothing gets lost.
async fn writers_of_the_same_rows_wait_for_each_other(db: Database) {
    const USERS: u64 = 40;
    const BATCHES: u64 = 20;
    let torrent = db.torrent(1).await;
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(db.user(&format!("user {number}")).await);
    }

    let writers: Vec<_> = (0..4)
        .map(|node| {
            let (store, users) = (db.store.clone(), users.clone());
            tokio::spawn(async move {
                for step in 1..=BATCHES {
                    let grown = |user: &UserId| {
                        change(
                            key(*user, torrent, node),
                            known(counters(1, 2), counters(step, 2 * step)),
                        )
                    };
                    store
                        .apply(&batch(users.iter().map(grown).collect()))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }

    for user in users {
        assert_eq!(
            db.store.totals(user).await.unwrap(),
            counters(4 * BATCHES, 8 * BATCHES)
        );
    }
    assert_eq!(
        db.torrent_totals().await,
        counters(4 * USERS * BATCHES, 8 * USERS * BATCHES)
    );
}

async fn an_empty_batch_moves_the_mark(db: Database) {
    let applied = db
        .store
        .apply(&Batch {
            sessions: vec![],
            mark: mark(9),
        })
        .await
        .unwrap();

    assert_eq!(applied, Applied::default());
    assert_eq!(db.store.mark("here").await.unwrap(), Some(9));
}

/// A swarm has moved, its announces are on both nodes, and neither knows the session.
async fn one_announce_at_several_nodes_is_counted_once(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let first = change(key, known(counters(0, 0), counters(0, 0)));
    db.store.apply(&batch(vec![first])).await.unwrap();

    for round in 1..=20 {
        let nodes: Vec<_> = (0..4)
            .map(|_| {
                let session = change(key, unresolved(&[counters(100 * round, 0)]));
                let store = db.store.clone();
                tokio::spawn(async move { store.apply(&batch(vec![session])).await.unwrap() })
            })
            .collect();
        for node in nodes {
            node.await.unwrap();
        }
    }

    assert_eq!(db.store.totals(user).await.unwrap(), counters(2_000, 0));
}
