//! Crashes, copies, backups, refusals: the database gets what is in the journal, once.

use std::task::Poll;

use persister::flush::FlushError;
use store::Store;
use tracker_core::record::Event;

use crate::site::*;

/// A crash right after the journal has it: the database learns of it from there, and so does the swarm.
#[tokio::test]
async fn what_is_in_the_journal_survives_a_crash() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.flush().await;
    site.announce(1, later(900), Event::None, (70, 0), 0);
    site.announce(2, later(900), Event::Stopped, (0, 60), 40);
    site.record();
    site.restart(later(901)).await;
    let counts = site.counts();
    assert_eq!(counts.map(|c| (c.complete, c.incomplete)), Some((1, 0)));
    assert_eq!(site.totals(1).await, (0, 0), "the database comes later");
    site.flush().await;
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((70, 0), (0, 60))
    );
    site.restart(later(902)).await;
    site.flush().await;
    assert_eq!(site.totals(1).await, (70, 0), "and once");
}

/// Two processes with a copy of the same data directory: an operator's mistake that must not cost anybody a byte. Who
/// finds out stops, and its journal keeps what the database doesn't have.
#[tokio::test]
async fn process_whose_mark_somebody_else_moves_stops() {
    let mut site = Site::new().await;
    let copy = site.folder.path().join("copy");
    let other = Process::start(&site.store, &copy, NOW).await.unwrap();
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(1, later(900), Event::None, (50, 0), 0);
    site.flush().await;
    let first = std::mem::replace(&mut site.process, other);
    site.announce(2, NOW, Event::Started, (0, 0), 0);
    site.announce(2, later(900), Event::None, (60, 0), 0);
    site.record();
    // The first try finds the mark elsewhere, and the second that nobody here has moved it.
    let _ = site.process.persister.flush().await;
    let error = site.process.persister.flush().await.unwrap_err();
    assert!(matches!(error, FlushError::Foreign), "{error}");
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((50, 0), (0, 0))
    );
    drop(first);
}

/// The database is put back by a backup, and the journal still has what came after it.
#[tokio::test]
async fn restored_database_gets_what_the_journal_still_has() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(1, later(900), Event::None, (50, 0), 0);
    site.flush().await;
    let (database, backup) = (
        site.folder.path().join("site.db"),
        site.folder.path().join("backup.db"),
    );
    site.execute(&format!("vacuum into '{}'", backup.display()))
        .await;
    site.announce(1, later(1800), Event::None, (80, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (80, 0));

    site.store.close().await;
    std::fs::remove_file(site.folder.path().join("site.db-wal")).ok();
    std::fs::rename(&backup, &database).unwrap();
    let url = format!("sqlite:{}", database.display());
    site.store = Store::open(&url).await.unwrap();
    assert_eq!(site.totals(1).await, (50, 0));
    site.restart(later(1801)).await;
    site.flush().await;
    assert_eq!(site.totals(1).await, (80, 0));
}

/// A row that the database won't take doesn't stop the others, and isn't lost: it stands aside, with the reason.
#[tokio::test]
async fn refused_record_is_set_aside_and_the_others_go_on() {
    let mut site = Site::new().await;
    for user in [1, 2] {
        site.announce(user, NOW, Event::Started, (0, 0), 0);
    }
    site.flush().await;
    site.execute(
        "create trigger no_bob before update on users when new.id = 2
         begin select raise(abort, 'bob is frozen'); end",
    )
    .await;
    for (turn, uploaded) in [(1, 10), (2, 20), (3, 30)] {
        for user in [1, 2] {
            site.announce(user, later(900 * turn), Event::None, (uploaded, 0), 0);
        }
    }
    site.record();
    let mut tries = 0;
    while site.process.persister.flush().await.is_err() {
        tries += 1;
        assert!(tries < 20);
    }
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((30, 0), (0, 0))
    );
    let aside = site.number("select count(*) from set_aside where reason like '%bob is frozen%'");
    assert_eq!(aside.await, 3);

    // Once the reason is gone, bob's next announce carries it all.
    site.execute("drop trigger no_bob").await;
    site.announce(2, later(9000), Event::None, (33, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(2).await, (33, 0));
}

/// A row that never comes out as it should doesn't stop the others for ever either.
#[tokio::test]
async fn record_that_never_fits_is_set_aside_and_the_others_go_on() {
    let mut site = Site::new().await;
    for user in [1, 2] {
        site.announce(user, NOW, Event::Started, (0, 0), 0);
    }
    site.flush().await;
    site.execute(
        "create trigger no_bob before update on users when new.id = 2
         begin select raise(ignore); end",
    )
    .await;
    for (turn, uploaded) in [(1, 10), (2, 20)] {
        for user in [1, 2] {
            site.announce(user, later(900 * turn), Event::None, (uploaded, 0), 0);
        }
    }
    site.record();
    let mut tries = 0;
    while site.process.persister.flush().await.is_err() {
        tries += 1;
        assert!(tries < 40);
    }
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((20, 0), (0, 0))
    );
    assert_eq!(site.number("select count(*) from set_aside").await, 2);
}

/// Whoever deletes a torrent behind our back: its announces can't be counted, and are kept for the operator.
#[tokio::test]
async fn announces_of_a_torrent_that_is_gone_are_set_aside() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.flush().await;
    site.execute("delete from torrent_metainfo").await;
    site.execute("delete from torrents").await;
    site.announce(1, later(900), Event::None, (5, 0), 0);
    site.announce(2, later(900), Event::Started, (0, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (0, 0));
    assert_eq!(site.number("select count(*) from set_aside").await, 2);
}

/// Cut off at its first await, its second, its third, and so on, further than it ever goes (a quick database is met at
/// fewer): each time by a crash, after which everything must be there, once.
#[tokio::test]
async fn flush_may_be_killed_at_every_await() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.flush().await;
    for awaits in 0..24 {
        let moved = 10 * (1 + awaits);
        let at = later(900 * (1 + awaits as u32));
        site.announce(1, at, Event::None, (moved, 0), 0);
        site.announce(2, at, Event::Completed, (0, moved), 0);
        site.record();
        let _ = polled_at_most(awaits, site.process.persister.flush()).await;
        site.restart(at).await;
        site.flush().await;
        assert_eq!(
            (site.totals(1).await, site.totals(2).await),
            ((moved, 0), (0, moved))
        );
        assert_eq!(site.counts().map(|counts| counts.downloaded), Some(1));
    }
}

/// The future's end, if it comes before so many polls were not enough.
async fn polled_at_most<T>(mut polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A backlog of any length is read back from the journal, batch after batch.
#[tokio::test]
async fn long_absence_of_the_database_is_caught_up_with() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    let turns = 90_000;
    for turn in 1..=turns {
        site.announce(1, later(turn), Event::None, (10 * u64::from(turn), 0), 0);
        if turn % 1000 == 0 {
            site.record();
        }
    }
    site.flush().await;
    assert_eq!(site.totals(1).await, (900_000, 0));
}
