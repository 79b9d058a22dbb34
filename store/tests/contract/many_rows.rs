//! A batch of any size: rows go to SQLite in pieces, and where one piece ends and the next begins must not show.

use store::{Care, SessionChange, StoreError};
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};

use crate::harness::{Database, NOW, batch, change, counters, observation};

on_both_databases!(
    any_number_of_new_sessions_is_stored,
    any_number_of_known_sessions_is_continued,
    a_wrong_hint_is_found_among_any_number,
    a_new_session_of_nobody_is_found_among_any_number,
    any_number_of_sessions_of_nobody_is_set_aside,
);

/// Around the ends of SQLite's pieces of 64 and 8.
const SIZES: [u32; 9] = [0, 1, 7, 8, 9, 63, 64, 65, 200];

/// As many members as torrents.
const MOST: u32 = 200;

/// Where clients begin. What the member with the number n does grows by n, 2 n.
const BEGIN: Counters = Counters {
    uploaded: 100,
    downloaded: 50,
};

const CREDITED_AS_GROWN: &str = "
    select count(*)
    from sessions
    where uploaded = 100 + credited_uploaded
        and downloaded = 50 + credited_downloaded
        and credited_uploaded > 0
        and credited_downloaded = 2 * credited_uploaded
        and credited_uploaded % user_id = 0
        and started_at = 1800000000 + user_id";

const USERS_HAVE_THEIR_SESSIONS_CREDITS: &str = "
    select count(*)
    from users
    where uploaded = (select coalesce(sum(credited_uploaded), 0) from sessions where user_id = users.id)
        and downloaded = (select coalesce(sum(credited_downloaded), 0) from sessions where user_id = users.id)";

const TORRENTS_HAVE_THEIR_SESSIONS_CREDITS: &str = "
    select count(*)
    from torrents
    where uploaded = (select coalesce(sum(credited_uploaded), 0) from sessions where torrent_id = torrents.id)
        and downloaded = (select coalesce(sum(credited_downloaded), 0) from sessions where torrent_id = torrents.id)
        and completed = (select count(*) from snatches where torrent_id = torrents.id)";

/// Each size's batch has clients of its own, and some snatches from the batches before.
async fn any_number_of_new_sessions_is_stored(db: Database) {
    site(&db).await;
    let (mut sessions, mut snatches) = (0, 0);
    for (round, &size) in (1..).zip(&SIZES) {
        let new = changes(size, round, |number, change| {
            change.rest = vec![observation(grown(number, 1))];
            change.completed_at = Some(UnixTime(NOW.0 + number));
        });

        let applied = db.apply(new.clone()).await;

        let baselines: Vec<_> = (1..=size).map(|number| stands_at(number, 1)).collect();
        assert_eq!(applied.baselines, baselines, "{size}");
        assert_eq!(applied.growth, growth_of(1..=size), "{size}");
        let snatched: Vec<_> = (snatches + 1..=size)
            .map(|number| (TorrentId(number), 1))
            .collect();
        assert_eq!(applied.snatches, snatched, "{size}");
        assert_stored(&db, &new, &baselines).await;
        sessions += size;
        snatches = snatches.max(size);
        assert_adds_up(&db, sessions).await;
        assert_eq!(
            db.number("select count(*) from snatches where completed_at = 1800000000 + user_id")
                .await,
            i64::from(snatches)
        );
    }
}

/// Two in three with a hint. The third is read.
async fn any_number_of_known_sessions_is_continued(db: Database) {
    site(&db).await;
    let mut known = everybody_has_grown_once(&db).await;
    let mut times = vec![1; known.len()];
    for (position, size) in (1..).zip(SIZES) {
        let next = changes(size, 1, |number, change| {
            let index = number as usize - 1;
            times[index] += 1;
            change.first = observation(grown(number, times[index]));
            change.known = known[index].filter(|_| number % 3 != 0);
            change.role = [Role::Leecher, Role::Seeder, Role::Partial][index % 3];
            change.first_at = NOW;
        });

        let batch = batch(position, position + 1, next.clone());
        let applied = db.store.apply(&batch, Care::Trusting).await.unwrap();

        let baselines: Vec<_> = (1..=size)
            .map(|number| stands_at(number, times[number as usize - 1]))
            .collect();
        assert_eq!(applied.baselines, baselines, "{size}");
        assert_eq!(applied.growth, growth_of(1..=size), "{size}");
        assert_stored(&db, &next, &baselines).await;
        assert_adds_up(&db, MOST).await;
        known[..size as usize].copy_from_slice(&baselines);
    }
}

async fn a_wrong_hint_is_found_among_any_number(db: Database) {
    site(&db).await;
    let known = everybody_has_grown_once(&db).await;
    for size in &SIZES[1..] {
        for wrong in [1, size.div_ceil(2), *size] {
            let next = changes(*size, 1, |number, change| {
                change.first = observation(grown(number, 2));
                let times = if number == wrong { 2 } else { 1 };
                change.known = stands_at(number, times);
            });

            let refused = db.store.apply(&batch(1, 2, next), Care::Trusting).await;

            assert!(
                matches!(refused, Err(StoreError::Stale)),
                "{wrong} of {size}: {refused:?}"
            );
        }
        let all = changes(MOST, 1, |_, _| {});
        assert_stored(&db, &all, &known).await;
        assert_adds_up(&db, MOST).await;
    }
    let next = changes(MOST, 1, |number, change| {
        change.first = observation(grown(number, 2));
        change.known = stands_at(number, if number % 9 == 0 { 2 } else { 1 });
    });
    let careful = db.store.apply(&batch(1, 2, next), Care::Careful).await;
    assert_eq!(careful.unwrap().growth, growth_of(1..=MOST));
    assert_adds_up(&db, MOST).await;
}

/// A member who isn't there, or a torrent.
async fn a_new_session_of_nobody_is_found_among_any_number(db: Database) {
    site(&db).await;
    for size in &SIZES[1..] {
        for user_is_missing in [true, false] {
            let mut new = changes(*size, 1, |_, _| {});
            if let Some(last) = new.last_mut() {
                match user_is_missing {
                    true => last.key.user = UserId(MOST + 1),
                    false => last.key.torrent = TorrentId(MOST + 1),
                }
            }

            let refused = db.store.apply(&batch(0, 1, new), Care::Trusting).await;

            assert!(
                matches!(refused, Err(StoreError::Stale)),
                "{size}: {refused:?}"
            );
            assert_eq!(db.number("select count(*) from sessions").await, 0);
        }
    }
}

async fn any_number_of_sessions_of_nobody_is_set_aside(db: Database) {
    site(&db).await;
    let (mut sessions, mut set_aside) = (0, 0);
    for (round, &size) in (1..).zip(&SIZES) {
        let mut new = changes(size, round, |number, change| {
            change.rest = vec![observation(grown(number, 1))];
            match number % 5 {
                1 => change.key.user = UserId(MOST + number),
                3 => change.key.torrent = TorrentId(MOST + number),
                _ => {}
            }
        });
        new.sort_by_key(|change| change.key);
        let expected: Vec<_> = new
            .iter()
            .map(|change| {
                let SessionKey { user, torrent, .. } = change.key;
                stands_at(user.0, 1).filter(|_| user.0 <= MOST && torrent.0 <= MOST)
            })
            .collect();

        let applied = db.apply(new).await;

        assert_eq!(applied.baselines, expected, "{size}");
        let there = expected.iter().flatten().count() as u32;
        assert_eq!(applied.set_aside, u64::from(size - there), "{size}");
        sessions += there;
        set_aside += size - there;
        assert_adds_up(&db, sessions).await;
        assert_eq!(
            db.number("select count(*) from set_aside").await,
            i64::from(set_aside)
        );
    }
}

/// Members and torrents, numbered from 1 on.
async fn site(db: &Database) {
    let numbers = format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {MOST})"
    );
    let bytes = if db.url.starts_with("sqlite") {
        "blob"
    } else {
        "bytea"
    };
    db.execute(&format!(
        "{numbers}
         insert into users (username, username_key, role, created_at)
         select cast(n as text), cast(n as text), 'member', 0 from numbers"
    ))
    .await;
    db.execute(&format!(
        "{numbers}
         insert into torrents (
            info_hash, name, size, piece_length, file_count, private, status, created_at)
         select cast(cast(n as text) as {bytes}), 'x', 1, 1, 1, {private}, 'open', 0 from numbers",
        private = if bytes == "blob" { "1" } else { "true" },
    ))
    .await;
}

/// Everybody's first session, with a first growth. Returns where they stand.
async fn everybody_has_grown_once(db: &Database) -> Vec<Option<Baseline>> {
    let new = changes(MOST, 1, |number, change| {
        change.rest = vec![observation(grown(number, 1))];
    });
    db.apply(new).await.baselines
}

/// The members' sessions from the first on, each in the torrent of the same number, and a little different.
fn changes(
    size: u32,
    peer: u8,
    mut make: impl FnMut(u32, &mut SessionChange),
) -> Vec<SessionChange> {
    let session = |number: u32| {
        let key = SessionKey {
            user: UserId(number),
            torrent: TorrentId(number),
            peer_id: PeerId([peer; 20]),
        };
        let mut change = change(key, &[BEGIN]);
        let byte = number as u8;
        (change.endpoint4, change.endpoint6) = match number % 2 {
            0 => (Some([byte; 6]), None),
            _ => (None, Some([byte; 18])),
        };
        change.first_at = UnixTime(NOW.0 + number);
        change.announced_at = UnixTime(NOW.0 + 1000 + number);
        make(number, &mut change);
        change
    };
    (1..=size).map(session).collect()
}

fn grown(number: u32, times: u64) -> Counters {
    let number = u64::from(number);
    counters(
        BEGIN.uploaded + times * number,
        BEGIN.downloaded + times * 2 * number,
    )
}

fn stands_at(number: u32, times: u64) -> Option<Baseline> {
    Some(Baseline::starting_at(grown(number, times)))
}

/// What these members grow by together, once.
fn growth_of(numbers: impl Iterator<Item = u32>) -> Counters {
    let sum = numbers.map(u64::from).sum();
    counters(sum, 2 * sum)
}

/// Each of these is in the database as it was last reported.
async fn assert_stored(db: &Database, changes: &[SessionChange], baselines: &[Option<Baseline>]) {
    let stored = db.store.active_sessions(NOW, None, 10_000).await.unwrap();
    assert_eq!(changes.len(), baselines.len());
    for (change, baseline) in changes.iter().zip(baselines) {
        let found = stored.iter().find(|session| session.key == change.key);
        let found = found.unwrap_or_else(|| panic!("{:?} isn't there", change.key));
        let expected = (
            *baseline,
            change.role,
            change.endpoint4,
            change.endpoint6,
            change.announced_at,
        );
        let found = (
            Some(found.baseline),
            found.role,
            found.endpoint4,
            found.endpoint6,
            found.announced_at,
        );
        assert_eq!(found, expected, "{:?}", change.key);
    }
}

/// So many sessions, and all that they were credited with is in their members' and torrents' totals.
async fn assert_adds_up(db: &Database, sessions: u32) {
    assert_eq!(
        db.number("select count(*) from sessions").await,
        i64::from(sessions)
    );
    assert_eq!(db.number(CREDITED_AS_GROWN).await, i64::from(sessions));
    for totals in [
        USERS_HAVE_THEIR_SESSIONS_CREDITS,
        TORRENTS_HAVE_THEIR_SESSIONS_CREDITS,
    ] {
        assert_eq!(db.number(totals).await, i64::from(MOST), "{totals}");
    }
}
