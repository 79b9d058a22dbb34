//! Whose class changes: what they moved counts for the class that they had then, to the second, whenever it comes in.

use economy::policy::Policy;
use economy::window::Scope;
use store::{Terms, UserChange};
use tracker_core::ids::UserId;
use tracker_core::registry::UserClass;

use crate::harness::{Database, counters, key};
use crate::traffic::{HOUR, announce, at};

on_both_databases!(
    an_announce_in_which_the_class_changes_is_cut_there,
    each_class_has_its_part_of_an_hour,
    a_hint_is_no_excuse_where_the_class_changed,
    a_policy_for_a_class_is_for_the_time_in_it,
    a_class_may_change_beside_the_ledger,
    who_finishes_after_it_without_traffic_is_counted_too,
);

impl Database {
    pub(crate) async fn class_from(&self, user: UserId, class: UserClass, secs: u32) {
        let change = UserChange {
            class: Some(class),
            ..UserChange::default()
        };
        let admin = self.admin().await;
        let changed = self.store.change_user(user, &change, admin, at(secs)).await;
        assert!(changed.unwrap());
    }

    /// Bytes up.
    async fn uploaded_in(&self, class: &str) -> i64 {
        self.number(&format!(
            "select cast(coalesce(sum(uploaded), 0) as bigint) from traffic where class = '{class}'"
        ))
        .await
    }
}

/// Each row: announces at, class changed at, and what of 1000 bytes is the newbie's and the member's.
async fn an_announce_in_which_the_class_changes_is_cut_there(db: Database) {
    let torrent = db.torrent(1).await;
    let table = [
        ("before it", (100, 200), 300, (1000, 0)),
        ("up to its last second", (100, 199), 200, (1000, 0)),
        ("up to it", (100, 200), 200, (1000, 0)),
        (
            "a second of a hundred is after it",
            (101, 201),
            200,
            (990, 10),
        ),
        ("half is after it", (100, 200), 150, (500, 500)),
        (
            "one second of a hundred is before it",
            (100, 200),
            101,
            (10, 990),
        ),
        ("from it on", (100, 200), 100, (0, 1000)),
        ("long after it", (100, 200), 50, (0, 1000)),
    ];
    for (n, (name, (from, to), change, expected)) in table.into_iter().enumerate() {
        let user = db.user(&format!("user{n}")).await;
        let key = key(user, torrent, 1);
        db.apply(vec![announce(key, 0, 0, from)]).await;
        db.class_from(user, UserClass::Member, change).await;
        db.apply(vec![announce(key, 1000, 500, to)]).await;
        let parts = (
            db.uploaded_in("newbie").await,
            db.uploaded_in("member").await,
        );
        assert_eq!(parts, expected, "{name}");
        assert_eq!(db.credited_to(user).await, counters(1000, 500), "{name}");
        db.execute("delete from traffic").await;
    }
}

async fn each_class_has_its_part_of_an_hour(db: Database) {
    const GIB: u64 = 1 << 30;
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    // Up, up again within the same announce, and down in the next.
    db.class_from(user, UserClass::Trusted, 250).await;
    db.class_from(user, UserClass::Elite, 500).await;
    db.apply(vec![announce(key, 4 * GIB, 0, 1000)]).await;
    db.class_from(user, UserClass::Newbie, 1500).await;
    db.apply(vec![announce(key, 6 * GIB, 0, 2000)]).await;
    let gibs = [("newbie", 2), ("trusted", 1), ("elite", 3)];
    for (class, expected) in gibs {
        let expected = expected * GIB as i64;
        assert_eq!(db.uploaded_in(class).await, expected, "{class}");
    }
    let terms = Terms {
        earning: Policy::default().earning,
        multiplier_milli: 1000,
        class_upload_percent: [100, 100, 200, 300],
    };
    for _ in 0..2 {
        db.store.settle(&terms, at(HOUR), 10).await.unwrap();
        assert_eq!(db.balance(user).await, 2000 + 2000 + 9000);
    }
    // A journal that comes late: what was moved then counts as it would have.
    let late = crate::harness::key(user, key.torrent, 2);
    db.apply_from("late", vec![announce(late, 0, 0, 100)]).await;
    db.apply_from("late", vec![announce(late, 2 * GIB, 0, 400)])
        .await;
    db.store.settle(&terms, at(HOUR), 10).await.unwrap();
    assert_eq!(db.balance(user).await, 13_000 + 1000 + 2000);
}

/// Memory knows where the session stands, and not when it announced.
async fn a_hint_is_no_excuse_where_the_class_changed(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    let first = db.apply(vec![announce(key, 0, 0, 50)]).await;
    db.class_from(user, UserClass::Member, 100).await;
    let mut second = announce(key, 1000, 0, 150);
    second.known = first.baselines[0];
    db.apply(vec![second]).await;
    assert_eq!(db.uploaded_in("newbie").await, 500);
    assert_eq!(db.uploaded_in("member").await, 500);
}

async fn a_policy_for_a_class_is_for_the_time_in_it(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.policy(Scope::Class(UserClass::Member), 0, 200, 0, None)
        .await;
    db.apply(vec![announce(key, 0, 0, 100)]).await;
    db.class_from(user, UserClass::Member, 175).await;
    db.apply(vec![announce(key, 1000, 1000, 200)]).await;
    assert_eq!(db.credited_to(user).await, counters(1250, 750));
}

async fn who_finishes_after_it_without_traffic_is_counted_too(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    db.class_from(user, UserClass::Member, 100).await;
    let mut finished = announce(key, 0, 0, 200);
    finished.completed_at = Some(at(200));
    let applied = db.apply(vec![finished]).await;
    assert_eq!(applied.snatches, [(key.torrent, 1)]);
    assert_eq!(applied.set_aside, 0);
}

/// The class changes while batches come: a batch that took the wrong one comes again.
async fn a_class_may_change_beside_the_ledger(db: Database) {
    let (user, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    let changing = tokio::spawn({
        let db = db.clone();
        async move {
            for step in 0..40 {
                let class = UserClass::ALL[(step as usize + 1) % 4];
                db.class_from(user, class, 1000 + step).await;
            }
        }
    });
    // All of it was moved before the first change.
    for step in 1..=60 {
        let bytes = u64::from(step);
        db.apply(vec![announce(key, bytes, 0, step)]).await;
    }
    changing.await.unwrap();
    assert_eq!(db.uploaded_in("newbie").await, 60);
}
