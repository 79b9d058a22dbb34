//! What the site changes in the database reaches the tracker's memory.

use std::sync::Arc;
use std::time::Duration;

use persister::follow::{FollowError, Follower};
use store::NewToken;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;
use tracker_core::ids::{TokenId, UserId};
use tracker_core::key::Token;
use tracker_core::record::Event;
use tracker_core::refusal::{Refusal, Warning};
use tracker_core::registry::{MemberStatus, TorrentStatus};
use tracker_core::tracker::Outcome;

use crate::site::*;

#[tokio::test]
async fn change_of_the_site_reaches_the_tracker() {
    let mut site = Site::new().await;
    let carol = site
        .store
        .create_user(&user("carol", Some([3; 16])))
        .await
        .unwrap();
    let started = |site: &mut Site, at| site.announce(3, at, Event::Started, (0, 0), 100);
    assert_eq!(
        started(&mut site, NOW),
        Outcome::Refused(Refusal::UnknownKey)
    );
    site.process.follower.catch_up().await.unwrap();
    assert_eq!(started(&mut site, NOW), Outcome::Answered);

    let (disabled, active) = (MemberStatus::Disabled, MemberStatus::Active);
    site.store
        .set_user_status(carol, disabled, NOW)
        .await
        .unwrap();
    site.process.follower.catch_up().await.unwrap();
    assert_eq!(
        started(&mut site, NOW),
        Outcome::Refused(Refusal::AccountDisabled)
    );
    site.store
        .set_user_status(carol, active, NOW)
        .await
        .unwrap();

    let id = site.store.find_torrent(&HASH).await.unwrap().unwrap().id;
    let answers = [
        (
            TorrentStatus::Pending,
            Outcome::Warned(Warning::PendingTorrent),
        ),
        (
            TorrentStatus::Closed,
            Outcome::Refused(Refusal::TorrentClosed),
        ),
        (TorrentStatus::Open, Outcome::Answered),
    ];
    for (status, expected) in answers {
        site.store
            .set_torrent_status(id, status, NOW)
            .await
            .unwrap();
        site.process.follower.catch_up().await.unwrap();
        assert_eq!(started(&mut site, NOW), expected);
    }
    assert_eq!(
        site.process.follower.catch_up().await.unwrap(),
        0,
        "everything is read once"
    );
}

#[tokio::test]
async fn follower_is_woken_by_a_change_and_does_not_wait_for_the_poll() {
    let mut site = Site::new().await;
    let (stop, stopped) = watch::channel(false);
    let mark = site.store.latest_change().await.unwrap();
    let follower = Follower::new(site.store.clone(), Arc::clone(&site.process.tracker), mark)
        .polling_every(Duration::from_secs(3600));
    let following = tokio::spawn(follower.run(stopped));

    // The first may be found by the look that every follower begins with; the others can't be.
    let disabled = Outcome::Refused(Refusal::AccountDisabled);
    for (status, expected) in [
        (MemberStatus::Disabled, disabled),
        (MemberStatus::Active, Outcome::Answered),
        (MemberStatus::Disabled, disabled),
    ] {
        site.store
            .set_user_status(UserId(1), status, NOW)
            .await
            .unwrap();
        let followed = async {
            while site.announce(1, NOW, Event::Started, (0, 0), 100) != expected {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), followed).await.unwrap();
    }

    stop.send_replace(true);
    following.await.unwrap().unwrap();
}

#[tokio::test]
async fn follower_that_was_away_for_too_long_ends_instead_of_missing_something() {
    let site = Site::new().await;
    for at in [NOW, later(10), later(20)] {
        site.store
            .set_user_status(UserId(1), MemberStatus::Disabled, at)
            .await
            .unwrap();
    }
    site.store.prune_changes(later(10)).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let ended = timeout(Duration::from_secs(60), site.process.follower.run(stopped)).await;
    assert!(matches!(ended.unwrap(), Err(FollowError::Missed(_))));
}

#[tokio::test]
async fn follower_that_has_read_everything_minds_no_pruning() {
    let mut site = Site::new().await;
    let disabled = MemberStatus::Disabled;
    for at in [NOW, later(10)] {
        let changed = site.store.set_user_status(UserId(1), disabled, at).await;
        changed.unwrap();
        site.process.follower.catch_up().await.unwrap();
        site.store.prune_changes(later(1000)).await.unwrap();
    }
    assert_eq!(site.process.follower.catch_up().await.unwrap(), 0);
}

#[tokio::test]
async fn revoked_token_is_refused_at_once_and_after_a_restart() {
    let mut site = Site::new().await;
    let new = NewToken {
        user: UserId(1),
        label: "seedbox".to_owned(),
        torrent: None,
        created_at: NOW,
        expires_at: None,
    };
    let id = site.store.create_token(&new).await.unwrap();
    let sign = |id: TokenId| {
        token_key().sign(&Token {
            id,
            user: UserId(1),
            torrent: None,
            expires_at: None,
        })
    };
    let announce =
        |site: &mut Site| site.announce_with(&sign(id), 1, NOW, Event::Started, (0, 0), 0);
    assert_eq!(announce(&mut site), Outcome::Answered);
    site.store.revoke_token(id, NOW).await.unwrap();
    site.process.follower.catch_up().await.unwrap();
    assert_eq!(announce(&mut site), Outcome::Refused(Refusal::RevokedKey));
    site.restart(NOW).await;
    assert_eq!(announce(&mut site), Outcome::Refused(Refusal::RevokedKey));
}

/// A backup was put back under a running tracker: the changes to come have numbers that it has passed.
#[tokio::test]
async fn follower_of_a_restored_database_ends_instead_of_missing_something() {
    let mut site = Site::new().await;
    site.execute("delete from changes").await;
    site.execute("update change_counter set value = 1").await;
    let missed = site.process.follower.catch_up().await.unwrap_err();
    assert!(matches!(missed, FollowError::Missed(_)), "{missed}");
}
