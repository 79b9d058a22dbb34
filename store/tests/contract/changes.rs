//! A follower of the changes sees every one, in order, however many write at once, and is woken by each.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use store::{ChangeId, ChangeSignal, Changed, Sight, Sort, Store, TorrentQuery};
use tokio::time::timeout;
use tracker_core::ids::{InfoHash, UnixTime};
use tracker_core::registry::{MemberStatus, TorrentStatus};

use crate::harness::{Database, NOW, new_user, on_postgres};

on_both_databases!(
    changes_come_in_pages,
    a_kind_from_a_newer_purser_is_passed_over,
    a_follower_never_skips_a_late_change,
    a_change_through_a_clone_wakes_the_follower,
    a_wake_up_waits_for_the_follower,
    only_old_changes_are_pruned_and_the_last_one_stays,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
async fn another_process_wakes_the_follower_on_postgres() {
    on_postgres(another_process_wakes_the_follower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
async fn a_lost_connection_listens_again_on_postgres() {
    on_postgres(a_lost_connection_listens_again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
async fn a_follower_does_not_wait_behind_requests_on_postgres() {
    on_postgres(a_follower_does_not_wait_behind_requests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets"]
async fn searches_leave_connections_to_others_on_postgres() {
    on_postgres(searches_leave_connections_to_others).await;
}

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

async fn a_change_through_a_clone_wakes_the_follower(db: Database) {
    let mut signal = db.store.change_signal();
    let (writer, ann) = (db.store.clone(), new_user("ann"));

    let (created, ()) = tokio::join!(writer.create_user(&ann), woken(&mut signal));

    created.unwrap();
}

async fn a_wake_up_waits_for_the_follower(db: Database) {
    let mut signal = db.store.change_signal();
    let (ann, torrent) = (db.user("ann").await, db.torrent(1).await);
    woken(&mut signal).await;

    // Given up meanwhile, as a follower's poll does each second.
    let _ = timeout(Duration::ZERO, signal.changed()).await;
    db.store
        .set_user_status(ann, MemberStatus::Disabled, NOW)
        .await
        .unwrap();
    woken(&mut signal).await;

    let closed = TorrentStatus::Closed;
    let changed = db.store.set_torrent_status(torrent, closed, NOW).await;
    changed.unwrap();
    woken(&mut signal).await;
}

/// A store opened apart shares nothing with the first one, as in another process.
async fn another_process_wakes_the_follower(db: Database) {
    let other = Store::open(&db.url).await.unwrap();
    let mut signal = db.store.change_signal();
    listening(&mut signal).await;

    for name in ["ann", "bob"] {
        other.create_user(&new_user(name)).await.unwrap();
        woken(&mut signal).await;
    }

    // The listener's connection isn't the pool's, which can be closed while it lasts.
    timeout(PATIENCE, db.store.close()).await.unwrap();
}

async fn a_lost_connection_listens_again(db: Database) {
    let other = Store::open(&db.url).await.unwrap();
    let mut signal = db.store.change_signal();
    listening(&mut signal).await;

    let killed = db.number(KILL_LISTENERS).await;
    assert_eq!(killed, 1, "one connection listens");
    listening(&mut signal).await;

    other.create_user(&new_user("ann")).await.unwrap();
    woken(&mut signal).await;
    assert_eq!(db.number(LISTENERS).await, 1);
}

const LISTENERS: &str = "
    select count(*)
    from pg_stat_activity
    where datname = current_database() and query ilike 'listen%'";

const KILL_LISTENERS: &str = "
    select count(pg_terminate_backend(pid))
    from pg_stat_activity
    where datname = current_database() and query ilike 'listen%'";

async fn only_old_changes_are_pruned_and_the_last_one_stays(db: Database) {
    let later = |secs| UnixTime(NOW.0 + secs);
    let user = db.user("ann").await;
    // The fourth is old as well, by a clock that was behind: pruning it would leave a gap.
    for at in [later(1), later(9), later(2), later(9)] {
        let changed = db.store.set_user_status(user, MemberStatus::Active, at);
        changed.await.unwrap();
    }
    let left = async || -> Vec<i64> {
        let changes = db.store.changes_after(ChangeId(0), 10).await.unwrap();
        changes.iter().map(|change| change.id.0).collect()
    };

    assert_eq!(db.store.prune_changes(NOW).await.unwrap(), 0);
    assert_eq!(left().await, [1, 2, 3, 4, 5]);
    assert_eq!(db.store.prune_changes(later(5)).await.unwrap(), 2);
    assert_eq!(left().await, [3, 4, 5]);
    assert_eq!(db.store.prune_changes(later(10)).await.unwrap(), 2);
    assert_eq!(left().await, [5]);
    assert_eq!(db.store.prune_changes(later(10)).await.unwrap(), 0);

    db.user("bob").await;
    assert_eq!(left().await, [5, 6], "numbers go on");
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn woken(signal: &mut ChangeSignal) {
    timeout(PATIENCE, signal.changed()).await.unwrap();
}

/// A signal that begins to listen says so, as something may have changed before.
async fn listening(signal: &mut ChangeSignal) {
    woken(signal).await;
}

async fn searches_leave_connections_to_others(db: Database) {
    db.user("ann").await;
    let mut keeper = PgConnection::connect(&db.url).await.unwrap();
    let lock = sqlx::raw_sql("begin; lock table torrents");
    lock.execute(&mut keeper).await.unwrap();
    for _ in 0..20 {
        let requests = db.store.for_requests();
        tokio::spawn(async move {
            let query = TorrentQuery {
                sight: Sight::Open,
                search: "word".to_owned(),
                categories: Vec::new(),
                uploader: None,
                sort: Sort::Newest,
                after: None,
                skip: 0,
                limit: 10,
            };
            requests.list_torrents(&query).await
        });
    }
    let waiting = "
        select count(*)
        from pg_locks
        join pg_database on pg_database.oid = pg_locks.database
        where datname = current_database() and not granted";
    while db.number(waiting).await < 3 {}

    let found = db.store.for_requests().find_user("ann").await;
    assert!(found.unwrap().is_some());
    assert_eq!(db.number(waiting).await, 3);
}

async fn a_follower_does_not_wait_behind_requests(db: Database) {
    db.torrent(1).await;
    let mut keeper = PgConnection::connect(&db.url).await.unwrap();
    let lock = sqlx::raw_sql("begin; lock table torrents");
    lock.execute(&mut keeper).await.unwrap();
    for _ in 0..20 {
        let requests = db.store.for_requests();
        tokio::spawn(async move { requests.torrent_detail(&InfoHash([1; 20])).await });
    }
    let waiting = "
        select count(*)
        from pg_locks
        join pg_database on pg_database.oid = pg_locks.database
        where datname = current_database() and not granted";
    while db.number(waiting).await < 4 {}

    let changes = db.store.changes_after(ChangeId(0), 10).await.unwrap();

    assert_eq!(changes.len(), 1);
}
