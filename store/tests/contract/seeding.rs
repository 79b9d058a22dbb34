//! What keeping torrents alive earns: once an hour, for each torrent once.

use economy::seeding::Seeding;
use store::CreditKind;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};

use crate::harness::{Database, NOW, change, counters, key};

on_both_databases!(
    a_seeder_is_paid_for_each_torrent_once,
    who_does_not_seed_now_is_not_paid,
    an_hour_is_paid_once,
    runs_at_once_pay_once,
    size_age_seeders_and_the_cap_count,
    what_a_member_holds_lessens_what_they_get,
);

const RULES: Seeding = Seeding {
    base_milli_per_hour: 10,
    cap_milli_per_hour: 1000,
    full_balance_milli: 0,
    full_size: 20 << 30,
    rarity_bonus_percent: 200,
    age_bonus_percent: 100,
    full_age_days: 100,
};

/// In the middle of an hour.
const THEN: UnixTime = UnixTime(NOW.0 / 3600 * 3600 + 1800);

impl Database {
    pub(crate) async fn seed(&self, key: SessionKey, role: Role, active: bool, at: UnixTime) {
        let mut change = change(key, &[counters(0, 0)]);
        (change.role, change.active) = (role, active);
        (change.first_at, change.announced_at) = (at, at);
        self.apply(vec![change]).await;
    }

    async fn pay(&self, secs: u32) -> u64 {
        self.pay_by(&RULES, secs).await
    }

    async fn pay_by(&self, rules: &Seeding, secs: u32) -> u64 {
        let now = UnixTime(THEN.0 + secs);
        let since = UnixTime(now.0 - 3600);
        self.store.pay_seeders(rules, since, now, 2).await.unwrap()
    }

    async fn credits(&self, user: UserId) -> i64 {
        self.store.stats(user).await.unwrap().credits_milli
    }

    /// Torrents of a GiB that are new, with countless seeders.
    async fn plain_torrents(&self) {
        self.execute(&format!(
            "update torrents set size = 1073741824, seeders = 4000000000, created_at = {}",
            THEN.0
        ))
        .await;
    }
}

async fn a_seeder_is_paid_for_each_torrent_once(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let (one, other) = (db.torrent(1).await, db.torrent(2).await);
    db.plain_torrents().await;
    for key in [
        key(ann, one, 1),
        key(ann, one, 2),
        key(ann, other, 1),
        key(bob, one, 3),
    ] {
        db.seed(key, Role::Seeder, true, THEN).await;
    }
    assert_eq!(db.pay(0).await, 2);
    let entries = db.store.credit_entries(ann, i64::MAX, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(
        (entry.kind, entry.amount_milli, entry.balance_milli),
        (CreditKind::Seeding, 20, 20)
    );
    assert_eq!(
        entry.note,
        "2 torrents, 2.0 GiB, 2027-01-15 08:00–09:00 UTC"
    );
    assert_eq!(entry.created_at, THEN);
    assert_eq!(db.credits(ann).await, 20);
    assert_eq!(db.credits(bob).await, 10);
}

async fn who_does_not_seed_now_is_not_paid(db: Database) {
    let ann = db.user("ann").await;
    let torrents = [
        db.torrent(1).await,
        db.torrent(2).await,
        db.torrent(3).await,
    ];
    let [closed, deleted, open] = torrents;
    db.plain_torrents().await;
    db.execute(&format!(
        "update torrents set status = 'closed' where id = {}",
        closed.0
    ))
    .await;
    db.execute(&format!(
        "update torrents set deleted_at = 5 where id = {}",
        deleted.0
    ))
    .await;
    db.seed(key(ann, closed, 1), Role::Seeder, true, THEN).await;
    db.seed(key(ann, deleted, 1), Role::Seeder, true, THEN)
        .await;
    db.seed(key(ann, open, 1), Role::Leecher, true, THEN).await;
    db.seed(key(ann, open, 2), Role::Partial, true, THEN).await;
    db.seed(key(ann, open, 3), Role::Seeder, false, THEN).await;
    db.seed(
        key(ann, open, 4),
        Role::Seeder,
        true,
        UnixTime(THEN.0 - 3601),
    )
    .await;
    assert_eq!(db.pay(0).await, 0);
    db.seed(
        key(ann, open, 5),
        Role::Seeder,
        true,
        UnixTime(THEN.0 - 3600),
    )
    .await;
    assert_eq!(db.pay(0).await, 1);
    assert_eq!(db.credits(ann).await, 10);
}

async fn an_hour_is_paid_once(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let torrent = db.torrent(1).await;
    db.plain_torrents().await;
    db.seed(key(ann, torrent, 1), Role::Seeder, true, THEN)
        .await;
    assert_eq!(db.pay(0).await, 1);
    assert_eq!(db.pay(1799).await, 0);
    // As if the first run had died before it came to him.
    db.seed(key(bob, torrent, 2), Role::Seeder, true, THEN)
        .await;
    assert_eq!(db.pay(1799).await, 1);
    assert_eq!((db.credits(ann).await, db.credits(bob).await), (10, 10));
    assert_eq!(db.pay(1800).await, 2);
    assert_eq!((db.credits(ann).await, db.credits(bob).await), (20, 20));
}

async fn runs_at_once_pay_once(db: Database) {
    let torrent = db.torrent(1).await;
    let mut users = Vec::new();
    for name in ["ann", "bob", "cyd", "dan", "eve"] {
        let user = db.user(name).await;
        db.seed(key(user, torrent, 1), Role::Seeder, true, THEN)
            .await;
        users.push(user);
    }
    db.plain_torrents().await;
    // Each has two of the pool's four connections.
    let runs = (0..2).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { db.pay(0).await })
    });
    let runs: Vec<_> = runs.collect();
    let mut paid = 0;
    for run in runs {
        paid += run.await.unwrap();
    }
    assert_eq!(paid, 5);
    for user in users {
        assert_eq!(db.credits(user).await, 10);
    }
    assert_eq!(db.number("select count(*) from credit_entries").await, 5);
}

async fn size_age_seeders_and_the_cap_count(db: Database) {
    let ann = db.user("ann").await;
    let torrent = db.torrent(1).await;
    db.seed(key(ann, torrent, 1), Role::Seeder, true, THEN)
        .await;
    let mut expected = 0;
    let day = 86_400;
    for (hour, size, seeders, age, milli) in [
        (0, 2_i64 << 30, 4_000_000_000_i64, 0, 20),
        (1, 1 << 30, 2, 0, 20),
        (2, 1 << 30, 4_000_000_000, 50 * day, 15),
        (3, 20 << 30, 1, 100 * day, 1000),
    ] {
        let created_at = THEN.0 + hour * 3600 - age;
        db.execute(&format!(
            "update torrents set size = {size}, seeders = {seeders}, created_at = {created_at}"
        ))
        .await;
        let at = UnixTime(THEN.0 + hour * 3600);
        db.seed(key(ann, torrent, 1), Role::Seeder, true, at).await;
        db.pay(hour * 3600).await;
        expected += milli;
        assert_eq!(db.credits(ann).await, expected, "hour {hour}");
    }
}

/// Each by their own balance, as it is when they are paid; who gets nothing has no entry.
async fn what_a_member_holds_lessens_what_they_get(db: Database) {
    let rules = Seeding {
        base_milli_per_hour: 1000,
        full_balance_milli: 2000,
        ..RULES
    };
    let torrent = db.torrent(1).await;
    let mut users = Vec::new();
    for (name, balance) in [
        ("ann", -500),
        ("bob", 0),
        ("cyd", 500),
        ("dan", 1999),
        ("eve", 2000),
        ("fay", 5000),
    ] {
        let user = db.user(name).await;
        db.execute(&format!(
            "update users set credits_milli = {balance} where id = {}",
            user.0
        ))
        .await;
        db.seed(key(user, torrent, 1), Role::Seeder, true, THEN)
            .await;
        users.push(user);
    }
    db.plain_torrents().await;
    let balances = async || {
        let mut balances = Vec::new();
        for user in &users {
            balances.push(db.credits(*user).await);
        }
        balances
    };
    assert_eq!(db.pay_by(&rules, 0).await, 3);
    assert_eq!(balances().await, [500, 1000, 1250, 1999, 2000, 5000]);
    assert_eq!(db.number("select count(*) from credit_entries").await, 3);
    for user in &users {
        db.seed(
            key(*user, torrent, 1),
            Role::Seeder,
            true,
            UnixTime(THEN.0 + 3600),
        )
        .await;
    }
    assert_eq!(db.pay_by(&rules, 3600).await, 3);
    assert_eq!(balances().await, [1250, 1500, 1625, 1999, 2000, 5000]);
}
