//! From announces to rows and back: the tracker, the persister and a real database, without the network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use persister::flush::{FlushError, Persister};
use persister::follow::{FollowError, Follower};
use persister::journal::{self, JournalId, Options, Writer};
use persister::lanes::Lanes;
use persister::load::{Progress, Stage, load, replay};
use sqlx::{Connection, SqliteConnection};
use store::{NewToken, NewTorrent, NewUser, Store, UserRole};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;
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
    folder: TempDir,
    store: Store,
    process: Process,
    scratch: Scratch,
}

struct Process {
    tracker: Arc<Tracker>,
    writer: Writer,
    persister: Persister,
    follower: Follower,
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
        let process = Process::start(&store, &folder.path().join("journal"), NOW).await;
        Self {
            folder,
            store,
            process: process.unwrap(),
            scratch: Scratch::new(),
        }
    }

    /// The process is killed, and another one starts.
    async fn restart(&mut self, now: UnixTime) {
        // Only one at a time may have the journal.
        let aside = self.folder.path().join("aside");
        let aside = Process::start(&self.store, &aside, now).await.unwrap();
        drop(std::mem::replace(&mut self.process, aside));
        let journal = self.folder.path().join("journal");
        self.process = Process::start(&self.store, &journal, now).await.unwrap();
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
        let tracker = &self.process.tracker;
        tracker
            .announce(key, query.as_bytes(), from, at, &mut self.scratch)
            .outcome
    }

    /// What the journal's thread does.
    fn record(&mut self) {
        let mut records = Vec::new();
        let outbox = &self.process.tracker.outbox;
        outbox.drain(&mut Vec::new(), |record| records.push(*record));
        self.process.writer.append(&records).unwrap();
    }

    async fn flush(&mut self) {
        self.record();
        self.process.persister.flush().await.unwrap();
    }

    /// Runs SQL behind the store's back.
    async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = self.connect().await;
        let asked = sqlx::query_scalar(sql).fetch_one(&mut connection);
        asked.await.unwrap()
    }

    async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.folder.path().join("site.db").display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    async fn totals(&self, user: u32) -> (u64, u64) {
        let Counters {
            uploaded,
            downloaded,
        } = self.store.totals(UserId(user)).await.unwrap();
        (uploaded, downloaded)
    }

    fn counts(&self) -> Option<Counts> {
        self.process.tracker.swarms.counts(&HASH, None)
    }
}

impl Process {
    async fn start(store: &Store, dir: &Path, now: UnixTime) -> Result<Self, journal::OpenError> {
        let tracker = Arc::new(Tracker::new(token_key(), Settings::default()));
        let lanes = Lanes::settled(store, "test").await.unwrap();
        let applied = lanes.applied();
        let options = Options {
            dir: dir.to_owned(),
            id: JournalId([1; 8]),
            segment_bytes: 1 << 16,
            limit_bytes: 1 << 30,
        };
        let (writer, log, _) = journal::open(options, applied)?;
        let loaded = load(store, &tracker, now, &mut |_| {}).await.unwrap();
        replay(&log, applied, &tracker, now, &mut |_| {}).unwrap();
        Ok(Self {
            writer,
            persister: Persister::new(
                store.clone(),
                Arc::clone(&tracker),
                log,
                lanes,
                loaded.baselines,
            ),
            follower: Follower::new(store.clone(), Arc::clone(&tracker), loaded.change),
            tracker,
        })
    }
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

/// Cut off at its first await, its second, its third, and so on until it gets through: each time by a crash, after which
/// everything must be there, once.
#[tokio::test]
async fn flush_may_be_killed_at_every_await() {
    let mut site = Site::new().await;
    site.announce(1, NOW, Event::Started, (0, 0), 0);
    site.announce(2, NOW, Event::Started, (0, 0), 100);
    site.flush().await;
    let mut killed = 0;
    for awaits in 0.. {
        let moved = 10 * (1 + awaits);
        let at = later(900 * (1 + awaits as u32));
        site.announce(1, at, Event::None, (moved, 0), 0);
        site.announce(2, at, Event::Completed, (0, moved), 0);
        site.record();
        let got_through = polled_at_most(awaits, site.process.persister.flush()).await;
        site.restart(at).await;
        site.flush().await;
        assert_eq!(
            (site.totals(1).await, site.totals(2).await),
            ((moved, 0), (0, moved))
        );
        assert_eq!(site.counts().map(|counts| counts.downloaded), Some(1));
        if got_through.is_some() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 2, "the test tested something: {killed}");
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
