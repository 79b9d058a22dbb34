//! A follower of the changes sees every one, in order, however many write at once.

use store::{ChangeId, Changed};
use tracker_core::registry::MemberStatus;

use crate::harness::{Database, NOW};

on_both_databases!(
    changes_come_in_pages,
    a_kind_from_a_newer_purser_is_passed_over,
    a_follower_never_skips_a_late_change,
);

async fn changes_come_in_pages(db: Database) {
    let mut expected = Vec::new();
    for byte in 1..=5 {
        expected.push(Changed::Torrent(db.torrent(byte).await));
    }

    let mut seen = Vec::new();
    let mut mark = ChangeId::default();
    for _ in 0..4 {
        let page = db.store.changes_after(mark, 2).await.unwrap();
        mark = page.last().map_or(mark, |last| last.id);
        seen.extend(page.into_iter().map(|change| change.what));
    }

    assert_eq!(seen, expected);
    assert_eq!(db.store.latest_change().await.unwrap(), mark);
}

async fn a_kind_from_a_newer_purser_is_passed_over(db: Database) {
    db.execute("insert into changes (id, kind, subject, created_at) values (1, 'festival', 3, 0)")
        .await;

    let changes = db.store.changes_after(ChangeId(0), 10).await.unwrap();

    assert_eq!(
        changes.iter().map(|change| change.what).collect::<Vec<_>>(),
        [Changed::Other]
    );
}

async fn a_follower_never_skips_a_late_change(db: Database) {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let mut users = Vec::new();
    for number in 0..WRITERS {
        users.push(db.user(&format!("user {number}")).await);
    }
    let start = db.store.latest_change().await.unwrap();

    let mut writers = Vec::new();
    for user in users {
        let store = db.store.clone();
        writers.push(tokio::spawn(async move {
            for _ in 0..WRITES {
                store
                    .set_user_status(user, MemberStatus::Active, NOW)
                    .await
                    .unwrap();
            }
        }));
    }

    // The follower asks while they write, and takes the last number it was given for its mark.
    let mut seen = Vec::new();
    while seen.len() < WRITERS * WRITES {
        let mark = seen.last().copied().unwrap_or(start);
        let page = db.store.changes_after(mark, 7).await.unwrap();
        seen.extend(page.into_iter().map(|change| change.id));
        let finished = writers.iter().all(tokio::task::JoinHandle::is_finished);
        if finished && seen.last() == Some(&db.store.latest_change().await.unwrap()) {
            break;
        }
    }

    for writer in writers {
        writer.await.unwrap();
    }
    let expected: Vec<ChangeId> = (1..=WRITERS * WRITES)
        .map(|n| ChangeId(start.0 + n as i64))
        .collect();
    assert_eq!(seen, expected);
}
