//! What members moved is on their accounts, and who was in a swarm still is.

use persister::load::{Progress, Stage, load};
use tracker_core::record::Event;
use tracker_core::reply::Counts;
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

use crate::site::*;

#[tokio::test]
async fn transfer_is_on_both_accounts_after_one_flush() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.announce(2, later(60), Event::Completed, (0, 100), 0);
    site.announce(2, later(60), Event::Completed, (0, 100), 0);
    site.announce(1, later(90), Event::Stopped, (100, 0), 0);
    site.flush().await;
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((100, 0), (0, 100))
    );
    let expected = Counts {
        complete: 1,
        incomplete: 0,
        downloaded: 1,
        partial: 0,
    };
    assert_eq!(
        site.counts(),
        Some(expected),
        "completed twice is one snatch"
    );
    site.flush().await;
    assert_eq!(site.totals(1).await, (100, 0));
}

#[tokio::test]
async fn counters_before_the_first_announce_earn_nothing() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::None, (5000, 0), 0);
    site.flush().await;
    site.announce(1, later(900), Event::None, (5007, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (7, 0));
}

#[tokio::test]
async fn restart_brings_back_swarms_and_baselines() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.announce(2, later(900), Event::None, (0, 40), 60);
    site.flush().await;
    let before = site.counts();

    site.restart(later(1000)).await;
    assert_eq!(site.counts(), before);
    // The members' endpoints are there too.
    site.announce(2, later(1800), Event::None, (0, 70), 30);
    let reply = site.scratch.body.escape_ascii().to_string();
    assert!(
        reply.contains("5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9"),
        "{reply}"
    );
    site.flush().await;
    assert_eq!(site.totals(2).await, (0, 70));
}

#[tokio::test]
async fn stopped_and_long_silent_sessions_stay_away_after_a_restart() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.announce(1, later(1), Event::Stopped, (0, 0), 0);
    site.flush().await;
    site.restart(later(3600)).await;
    assert_eq!(site.counts().map(|counts| counts.incomplete), Some(1));
    site.restart(later(3601)).await;
    assert_eq!(site.counts(), Some(Counts::default()));
}

#[tokio::test]
async fn session_that_had_no_room_has_none_after_a_restart() {
    let mut site = Site::new().await;
    let key = "01".repeat(16);
    for client in 11..=14 {
        site.announce_with(&key, client, NOW, Event::None, (0, 0), 100);
    }
    site.flush().await;
    let before = site.counts();
    assert_eq!(before.map(|counts| counts.incomplete), Some(3));
    site.restart(NOW).await;
    assert_eq!(site.counts(), before);
}

#[tokio::test]
async fn session_that_memory_forgot_goes_on_from_its_stored_baseline() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(1, later(900), Event::None, (50, 0), 0);
    site.flush().await;
    site.process.persister.sweep(later(100_000)).await;
    assert_eq!(site.counts(), Some(Counts::default()));

    site.announce(1, later(100_001), Event::None, (80, 0), 0);
    site.announce(1, later(101_000), Event::None, (81, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (81, 0));
    // From here on memory knows it again.
    site.announce(1, later(102_000), Event::None, (85, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (85, 0));
}

#[tokio::test]
async fn restarted_client_begins_anew() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(1, later(900), Event::None, (50, 0), 0);
    site.flush().await;
    site.announce(1, later(1000), Event::Started, (0, 0), 0);
    site.announce(1, later(1900), Event::None, (7, 0), 0);
    site.flush().await;
    assert_eq!(site.totals(1).await, (57, 0));
}

#[tokio::test]
async fn loading_reports_its_progress() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.flush().await;
    let mut last = Vec::<Progress>::new();
    let tracker = Tracker::new(token_key(), Settings::default());
    let mut report = |progress: Progress| {
        last.retain(|before| before.stage != progress.stage);
        last.push(progress);
    };
    load(&site.store, &tracker, NOW, &mut report).await.unwrap();
    let done = |stage, rows| Progress {
        stage,
        done: rows,
        total: rows,
    };
    let expected = [
        done(Stage::Members, 2),
        done(Stage::Torrents, 1),
        done(Stage::Sessions, 1),
    ];
    assert_eq!(last, expected);
}
