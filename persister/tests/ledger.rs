//! From announces to rows and back: the tracker, the persister and a real database, without the network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use persister::flush::Persister;
use persister::follow::Follower;
use persister::load::{Progress, Stage, load};
use store::{NewToken, NewTorrent, NewUser, Store, UserRole};
use tempfile::TempDir;
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, TokenId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};
use tracker_core::record::Event;
use tracker_core::refusal::{Refusal, Warning};
use tracker_core::registry::{MemberStatus, TorrentStatus, UserClass};
use tracker_core::reply::Counts;
use tracker_core::settings::Settings;
use tracker_core::tracker::{Outcome, Scratch, Tracker};

const HASH: InfoHash = InfoHash([b'h'; 20]);
const NOW: UnixTime = UnixTime(1_000_000);

fn token_key() -> TokenKey {
    TokenKey::from_bytes([7; 32])
}

fn later(secs: u32) -> UnixTime {
    UnixTime(NOW.0 + secs)
}

/// A site on SQLite, and a tracker process in front of it that can be started anew.
struct Site {
    _folder: TempDir,
    store: Store,
    tracker: Arc<Tracker>,
    persister: Persister,
    follower: Follower,
    scratch: Scratch,
}

impl Site {
    /// Members ann (1) and bob (2), one torrent.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("site.db").display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        for (username, passkey) in [("ann", [1; 16]), ("bob", [2; 16])] {
            store
                .create_user(&user(username, Some(passkey)))
                .await
                .unwrap();
        }
        store.add_torrent(&torrent(HASH)).await.unwrap();
        let (tracker, persister, follower) = start(&store, NOW).await;
        Self {
            _folder: folder,
            store,
            tracker,
            persister,
            follower,
            scratch: Scratch::new(),
        }
    }

    async fn restart(&mut self, now: UnixTime) {
        (self.tracker, self.persister, self.follower) = start(&self.store, now).await;
    }

    fn announce(
        &mut self,
        user: u8,
        at: UnixTime,
        event: Event,
        counters: (u64, u64),
        left: u64,
    ) -> Outcome {
        let key = format!("{user:02x}").repeat(16);
        self.announce_with(&key, user, at, event, counters, left)
    }

    fn announce_with(
        &mut self,
        key: &str,
        user: u8,
        at: UnixTime,
        event: Event,
        (uploaded, downloaded): (u64, u64),
        left: u64,
    ) -> Outcome {
        let event = match event {
            Event::None => "",
            event => event.name(),
        };
        let query = format!(
            "info_hash={}&peer_id=-XX0001-{user:012}&port={}&uploaded={uploaded}&downloaded={downloaded}\
             &left={left}&event={event}",
            "h".repeat(20),
            1000 + u16::from(user),
        );
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = Some(key.as_bytes());
        self.tracker
            .announce(key, query.as_bytes(), from, at, &mut self.scratch)
            .1
    }

    async fn flush(&mut self) {
        self.persister.flush().await.unwrap();
    }

    async fn totals(&self, user: u32) -> (u64, u64) {
        let Counters {
            uploaded,
            downloaded,
        } = self.store.totals(UserId(user)).await.unwrap();
        (uploaded, downloaded)
    }

    fn counts(&self) -> Option<Counts> {
        self.tracker.swarms.counts(&HASH, None)
    }
}

async fn start(store: &Store, now: UnixTime) -> (Arc<Tracker>, Persister, Follower) {
    let tracker = Arc::new(Tracker::new(token_key(), Settings::default()));
    let mark = load(store, &tracker, now, &mut |_| {}).await.unwrap();
    let persister = Persister::new(store.clone(), Arc::clone(&tracker), "test".to_owned());
    let follower = Follower::new(store.clone(), Arc::clone(&tracker), mark);
    (tracker, persister.await.unwrap(), follower)
}

fn user(username: &str, passkey: Option<[u8; 16]>) -> NewUser {
    NewUser {
        username: username.to_owned(),
        email: None,
        password_hash: None,
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey,
        created_at: NOW,
    }
}

fn torrent(info_hash: InfoHash) -> NewTorrent {
    NewTorrent {
        info_hash,
        info_hash_v2: None,
        name: "file".to_owned(),
        size: 100,
        piece_length: 16384,
        private: true,
        status: TorrentStatus::Open,
        uploader: None,
        files: vec![],
        metainfo: vec![],
        created_at: NOW,
    }
}

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
    site.announce(1, later(1), Event::Stopped, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
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
    site.persister.sweep(later(100_000)).await;
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
    site.follower.catch_up().await.unwrap();
    assert_eq!(started(&mut site, NOW), Outcome::Answered);

    let (disabled, active) = (MemberStatus::Disabled, MemberStatus::Active);
    site.store
        .set_user_status(carol, disabled, NOW)
        .await
        .unwrap();
    site.follower.catch_up().await.unwrap();
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
        site.follower.catch_up().await.unwrap();
        assert_eq!(started(&mut site, NOW), expected);
    }
    assert_eq!(
        site.follower.catch_up().await.unwrap(),
        0,
        "everything is read once"
    );
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
    site.follower.catch_up().await.unwrap();
    assert_eq!(announce(&mut site), Outcome::Refused(Refusal::RevokedKey));
    site.restart(NOW).await;
    assert_eq!(announce(&mut site), Outcome::Refused(Refusal::RevokedKey));
}

/// Two processes with a copy of the same data directory: an operator's mistake that must not cost anybody a byte.
#[tokio::test]
async fn batch_is_not_lost_to_another_process_with_the_same_name() {
    let mut site = Site::new().await;
    let (tracker, persister, _) = start(&site.store, NOW).await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(1, later(900), Event::None, (50, 0), 0);
    site.flush().await;
    (site.tracker, site.persister) = (tracker, persister);
    site.announce(2, NOW, Event::Started, (0, 0), 0);
    site.announce(2, later(900), Event::None, (60, 0), 0);
    site.flush().await;
    assert_eq!(
        (site.totals(1).await, site.totals(2).await),
        ((50, 0), (60, 0))
    );
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
