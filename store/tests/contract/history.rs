//! What simulations read: in pages, each beginning after the last row of the one before.

use economy::window::Scope;
use store::{SessionChange, TrafficOfHour};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::Role;
use tracker_core::registry::UserClass;

use crate::harness::{Database, change, counters, key, new_torrent};
use crate::traffic::{announce, at};

on_both_databases!(
    members_come_with_what_they_had_before,
    members_come_in_the_class_that_they_had,
    what_came_since_may_be_more_than_64_bits,
    torrents_and_snatches_come_in_pages,
    a_members_clients_seed_together,
    traffic_comes_by_the_hour_and_in_pages,
    windows_that_have_ended_before_are_left_out,
);

const HOUR: u32 = 3600;

/// The hour in which these tests begin.
fn first_hour() -> u32 {
    at(0).0 / HOUR
}

impl Database {
    async fn moved(&self, user: UserId, torrent: TorrentId, up: u64, down: u64, secs: u32) {
        let key = key(user, torrent, 1);
        self.apply(vec![announce(key, up, down, secs)]).await;
    }

    async fn members_before(&self, hour: u32) -> Vec<(u32, UserClass, u64, u64)> {
        let mut all = Vec::new();
        let mut after = None;
        // A page of one, so that each begins after another.
        while let [member] = self.store.members_of_history(hour, after, 1).await.unwrap()[..] {
            after = Some(member.id);
            let before = member.before;
            all.push((
                member.id.0,
                member.class,
                before.uploaded,
                before.downloaded,
            ));
        }
        all
    }
}

async fn members_come_with_what_they_had_before(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let torrent = db.torrent(1).await;
    db.moved(ann, torrent, 0, 0, 0).await;
    db.moved(ann, torrent, 100, 10, 60).await;
    db.moved(ann, torrent, 1100, 30, HOUR - 1).await;
    db.moved(ann, torrent, 1107, 35, HOUR).await;
    db.execute("update users set class = 'elite'").await;
    // Who joins within the simulated time begins as a newbie.
    db.execute(&format!(
        "update users set created_at = {} where id = {}",
        at(HOUR).0 - 1,
        ann.0
    ))
    .await;
    db.execute(&format!(
        "update users set created_at = {} where id = {}",
        at(HOUR).0,
        bob.0
    ))
    .await;
    let (elite, newbie) = (UserClass::Elite, UserClass::Newbie);
    let hour = first_hour();
    assert_eq!(
        db.members_before(hour).await,
        [(ann.0, newbie, 0, 0), (bob.0, newbie, 0, 0)]
    );
    assert_eq!(
        db.members_before(hour + 1).await,
        [(ann.0, elite, 1100, 30), (bob.0, newbie, 0, 0)]
    );
    assert_eq!(
        db.members_before(hour + 2).await,
        [(ann.0, elite, 1107, 35), (bob.0, elite, 0, 0)]
    );
    let names = db.store.usernames(None, 10).await.unwrap();
    assert_eq!(names, [(ann, "ann".to_owned()), (bob, "bob".to_owned())]);
    let names = db.store.usernames(Some(ann), 10).await.unwrap();
    assert_eq!(names, [(bob, "bob".to_owned())]);
}

/// Hundredths of bytes, of several hours: each at the top of its column.
async fn members_come_in_the_class_that_they_had(db: Database) {
    let ann = db.user("ann").await;
    db.execute("update users set created_at = 1").await;
    db.class_from(ann, UserClass::Member, HOUR).await;
    db.class_from(ann, UserClass::Elite, 2 * HOUR + 1).await;
    let hour = first_hour();
    for (after, class) in [
        (0, UserClass::Newbie),
        (1, UserClass::Member),
        (2, UserClass::Member),
        (3, UserClass::Elite),
    ] {
        let members = db.members_before(hour + after).await;
        assert_eq!(members[0].1, class, "{after}");
    }
}

async fn what_came_since_may_be_more_than_64_bits(db: Database) {
    let (ann, torrent, _) = db.one_leecher().await;
    for hour in 0..3_u32 {
        db.moved(ann, torrent, u64::from(hour), 0, hour * HOUR)
            .await;
    }
    db.moved(ann, torrent, 3, 0, 3 * HOUR).await;
    db.execute("update traffic set counted_uploaded = 9223372036854775807")
        .await;
    db.execute("update users set credited_uploaded = 9223372036854775807")
        .await;
    let hours = db.number("select count(*) from traffic").await as u64;
    assert!(hours >= 3, "{hours}");
    let since = u128::from(i64::MAX as u64) * u128::from(hours) / 100;
    let before = u128::from(i64::MAX as u64) - since;
    assert_eq!(
        db.members_before(first_hour()).await,
        [(ann.0, UserClass::Newbie, before as u64, 0)]
    );
}

async fn torrents_and_snatches_come_in_pages(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let one = db.torrent(1).await;
    let mut brought = new_torrent(2);
    (brought.uploader, brought.size) = (Some(bob), 77);
    let other = db.store.add_torrent(&brought).await.unwrap();
    db.execute(&format!(
        "update torrents set deleted_at = 5 where id = {}",
        one.0
    ))
    .await;
    let torrents = async |after, limit| {
        let page = db.store.torrents_of_history(after, limit).await.unwrap();
        let row = |torrent: &economy::simulate::Torrent| {
            (
                torrent.id,
                torrent.uploader,
                torrent.size,
                torrent.created_at,
            )
        };
        page.iter().map(row).collect::<Vec<_>>()
    };
    let now = crate::harness::NOW;
    assert_eq!(torrents(None, 1).await, [(one, None, 30, now)]);
    assert_eq!(torrents(Some(one), 9).await, [(other, Some(bob), 77, now)]);

    for (user, torrent, secs) in [(ann, one, 5), (ann, other, 6), (bob, one, 7)] {
        let mut change = announce(key(user, torrent, 1), 0, 0, secs);
        change.completed_at = Some(at(secs));
        db.apply(vec![change]).await;
    }
    let snatches = async |after, limit| {
        let page = db.store.snatches_of_history(after, limit).await.unwrap();
        let rows = page
            .iter()
            .map(|row| (row.user, row.torrent, row.completed_at));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(snatches(None, 1).await, [(ann, one, at(5))]);
    assert_eq!(
        snatches(Some((ann, one)), 9).await,
        [(ann, other, at(6)), (bob, one, at(7))]
    );
}

async fn a_members_clients_seed_together(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let torrent = db.torrent(1).await;
    let seeds = |user, peer, from: u32, to: u32, secs| -> SessionChange {
        let mut change = change(key(user, torrent, peer), &[counters(0, 0)]);
        change.role = Role::Seeder;
        (change.first_at, change.announced_at) = (at(from), at(to));
        change.seeded_secs = secs;
        change
    };
    let mut bobs = seeds(bob, 1, 100, 700, 50);
    bobs.completed_at = Some(at(400));
    db.apply(vec![seeds(ann, 1, 50, 300, 200), bobs]).await;
    db.apply(vec![seeds(ann, 2, 1000, 2000, 900)]).await;
    // One that has never seeded, which isn't there at all.
    let carl = db.user("carl").await;
    db.moved(carl, torrent, 0, 0, 0).await;
    let seedings = async |after, limit| {
        let page = db.store.seedings_of_history(after, limit).await.unwrap();
        let row = |seeding: &economy::simulate::Seeding| {
            (seeding.user, seeding.from, seeding.to, seeding.secs)
        };
        page.iter().map(row).collect::<Vec<_>>()
    };
    // From the first of ann's clients to the last; of bob's from when he had it all.
    assert_eq!(seedings(None, 1).await, [(ann, at(50), at(2000), 1100)]);
    assert_eq!(
        seedings(Some((ann, torrent)), 9).await,
        [(bob, at(400), at(700), 50)]
    );
    assert_eq!(seedings(Some((bob, torrent)), 9).await, []);
}

async fn traffic_comes_by_the_hour_and_in_pages(db: Database) {
    assert_eq!(db.store.hours_of_history().await.unwrap(), None);
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let torrent = db.torrent(1).await;
    for user in [ann, bob] {
        db.moved(user, torrent, 0, 0, 0).await;
        db.moved(user, torrent, 5, 2, 10).await;
        db.moved(user, torrent, 6, 4, 20).await;
        db.moved(user, torrent, 6, 4, HOUR).await;
        db.moved(user, torrent, 16, 4, HOUR + 1).await;
    }
    let hour = first_hour();
    let hours = db.store.hours_of_history().await.unwrap();
    assert_eq!(hours, Some((hour, hour + 1)));
    let row = |(hour, traffic): &TrafficOfHour| {
        (
            traffic.user,
            *hour,
            traffic.moved.uploaded,
            traffic.moved.downloaded,
        )
    };
    let page = async |hours, after: Option<(UserId, u32)>, limit| {
        let after = after.map(|(user, hour)| (user, torrent, hour));
        let rows = db.store.traffic_of_history(hours, after, limit).await;
        rows.unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let whole = [
        (ann, hour, 6, 4),
        (bob, hour, 6, 4),
        (ann, hour + 1, 10, 0),
        (bob, hour + 1, 10, 0),
    ];
    let both = hour..hour + 2;
    assert_eq!(page(both.clone(), None, 9).await, whole);
    assert_eq!(page(both.clone(), None, 1).await, whole[..1]);
    assert_eq!(page(both.clone(), Some((ann, hour)), 2).await, whole[1..3]);
    assert_eq!(page(both, Some((bob, hour + 1)), 9).await, []);
    assert_eq!(page(hour..hour + 1, None, 9).await, whole[..2]);
}

async fn windows_that_have_ended_before_are_left_out(db: Database) {
    db.policy(Scope::Global, 0, 100, 0, Some(100)).await;
    db.policy(Scope::Class(UserClass::Elite), 50, 200, 10, None)
        .await;
    let since = async |secs: u32| {
        let mut windows = db.store.windows_since(at(secs)).await.unwrap();
        windows.sort_by_key(|window| window.starts_at);
        let rows = windows
            .iter()
            .map(|window| (window.starts_at, window.ends_at));
        rows.collect::<Vec<(UnixTime, Option<UnixTime>)>>()
    };
    let (ended, open) = ((at(0), Some(at(100))), (at(10), None));
    assert_eq!(since(0).await, [ended, open]);
    assert_eq!(since(99).await, [ended, open]);
    assert_eq!(since(100).await, [open]);
}
