//! From traffic to entries: each hour's traffic is entered once, at that hour's prices, whatever comes late, twice, at once
//! or to an end in the middle.

use economy::price::Earning;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::{CreditEntry, CreditKind, Settled, Terms};
use tokio::task::yield_now;
use tracker_core::ids::{UnixTime, UserId};

use crate::harness::{Database, NOW};

on_both_databases!(
    a_closed_hour_is_entered_and_an_open_one_is_not,
    late_traffic_adds_the_difference,
    settling_again_enters_nothing,
    two_runs_at_once_enter_it_once,
    a_run_that_died_half_way_is_mended_by_the_next,
    a_cost_is_paid_from_what_there_is_and_the_rest_later,
    with_debt_it_is_taken_at_once,
    an_hour_keeps_its_prices,
    a_class_earns_what_it_is_due,
    a_balance_has_an_end,
    beside_the_ledger_nobody_waits_for_ever,
    entries_add_up_to_balances_in_whatever_order,
);

const HOUR: u32 = NOW.0 / 3600;

const GIB: i64 = 1 << 30;

const TERMS: Terms = Terms {
    earning: Earning {
        upload_milli_per_gib: 1000,
        download_milli_per_gib: 300,
        allow_debt: false,
    },
    multiplier_milli: 1000,
    class_upload_percent: [100, 100, 105, 110],
};

/// In the hour of that number after [`HOUR`].
fn within(hour: u32) -> UnixTime {
    UnixTime((HOUR + hour) * 3600 + 10)
}

impl Database {
    /// As the ledger's batches add to it.
    async fn traffic(&self, user: UserId, torrent: u32, hour: u32, up: i64, down: i64) {
        let (user, hour) = (user.0, HOUR + hour);
        self.execute(&format!(
            "insert into traffic (
                hour, user_id, torrent_id, class, uploaded, downloaded, counted_uploaded, counted_downloaded)
             select {hour}, {user}, {torrent}, class, {up}, {down}, {up}00, {down}00
             from users
             where id = {user}
             on conflict (hour, user_id, torrent_id, class) do update
             set uploaded = traffic.uploaded + excluded.uploaded,
                 downloaded = traffic.downloaded + excluded.downloaded,
                 counted_uploaded = traffic.counted_uploaded + excluded.counted_uploaded,
                 counted_downloaded = traffic.counted_downloaded + excluded.counted_downloaded"
        ))
        .await;
        self.execute(&format!(
            "update users
             set unsettled_since = case when unsettled_since < {hour} then unsettled_since else {hour} end,
                 traffic_until = case when traffic_until > {hour} then traffic_until else {hour} end
             where id = {user}"
        ))
        .await;
    }

    async fn settle(&self, terms: &Terms, hour: u32) -> Settled {
        self.store.settle(terms, within(hour), 2).await.unwrap()
    }

    /// Oldest first.
    async fn entries(&self, user: UserId) -> Vec<CreditEntry> {
        let entries = self.store.credit_entries(user, i64::MAX, 1000).await;
        let mut entries = entries.unwrap();
        entries.reverse();
        entries
    }

    /// Kinds and amounts, oldest first.
    async fn amounts(&self, user: UserId) -> Vec<(CreditKind, i64)> {
        let entries = self.entries(user).await.into_iter();
        entries
            .map(|entry| (entry.kind, entry.amount_milli))
            .collect()
    }

    async fn grant(&self, user: UserId, milli: i64) {
        let granted = self.store.change_credits(user, milli, "", user, NOW).await;
        assert!(granted.unwrap().is_some());
    }

    /// Each entry follows from the one before, and the balance from the last.
    async fn add_up(&self, user: UserId) {
        let mut balance = 0;
        for entry in self.entries(user).await {
            balance += entry.amount_milli;
            assert_eq!(entry.balance_milli, balance, "{entry:?}");
        }
        assert_eq!(self.balance(user).await, balance);
    }
}

async fn a_closed_hour_is_entered_and_an_open_one_is_not(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    db.traffic(ann, 1, 0, GIB, 0).await;
    db.traffic(ann, 2, 0, 11 * GIB + GIB / 3, 2 * GIB).await;
    db.traffic(ann, 1, 1, GIB, 0).await;
    db.traffic(bob, 1, 0, GIB / 2000, 0).await;
    let settled = db.settle(&TERMS, 1).await;
    assert_eq!((settled.members, settled.entries), (2, 2));
    let entries = db.entries(ann).await;
    assert_eq!(
        db.amounts(ann).await,
        [(CreditKind::Upload, 12_333), (CreditKind::Download, -600)]
    );
    // 2027-01-15 08:00.
    assert_eq!(
        entries[0].note,
        "12.3 GiB in 2 torrents, 2027-01-15 08:00–09:00 UTC"
    );
    assert_eq!(
        entries[1].note,
        "2.0 GiB in 1 torrent, 2027-01-15 08:00–09:00 UTC"
    );
    assert_eq!(entries[1].created_at, within(1));
    // Too little for an entry, and kept for the hour's next.
    assert_eq!(db.amounts(bob).await, []);
    db.traffic(bob, 1, 0, GIB / 2000 + 2, 0).await;
    db.settle(&TERMS, 2).await;
    assert_eq!(db.amounts(bob).await, [(CreditKind::Upload, 1)]);
    assert_eq!(db.balance(ann).await, 12_333 - 600 + 1000);
    db.add_up(ann).await;
}

async fn late_traffic_adds_the_difference(db: Database) {
    let ann = db.user("ann").await;
    // A third of a credit each time, rounded once.
    for torrent in [1, 2, 1] {
        db.traffic(ann, torrent, 0, GIB / 3 + 1, 0).await;
        db.settle(&TERMS, 1).await;
    }
    let uploads = [333, 333, 334].map(|milli| (CreditKind::Upload, milli));
    assert_eq!(db.amounts(ann).await, uploads);
    let waiting = "select count(*) from users where unsettled_since is not null";
    assert_eq!(db.number(waiting).await, 0);
    let notes: Vec<_> = db
        .entries(ann)
        .await
        .into_iter()
        .map(|entry| entry.note)
        .collect();
    assert_eq!(
        notes[..2],
        [
            "341.3 MiB in 1 torrent, 2027-01-15 08:00–09:00 UTC",
            "341.3 MiB that came late, 2027-01-15 08:00–09:00 UTC"
        ]
    );
}

async fn settling_again_enters_nothing(db: Database) {
    let ann = db.user("ann").await;
    db.traffic(ann, 1, 0, GIB, GIB).await;
    db.settle(&TERMS, 1).await;
    let entries = db.entries(ann).await;
    assert_eq!(db.settle(&TERMS, 1).await, Settled::default());
    // The hour is looked at again, and there is nothing new in it.
    db.traffic(ann, 1, 0, 0, 0).await;
    assert_eq!(db.settle(&TERMS, 2).await, Settled::default());
    assert_eq!(db.entries(ann).await, entries);
}

async fn two_runs_at_once_enter_it_once(db: Database) {
    let mut users = Vec::new();
    for name in ["ann", "bob", "cyd", "dan", "eve"] {
        let user = db.user(name).await;
        db.traffic(user, 1, 0, GIB, GIB).await;
        db.traffic(user, 2, 0, GIB, 0).await;
        users.push(user);
    }
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.settle(&TERMS, 1).await })
        })
        .collect();
    for run in runs {
        run.await.unwrap();
    }
    for user in users {
        let expected = [(CreditKind::Upload, 2000), (CreditKind::Download, -300)];
        assert_eq!(db.amounts(user).await, expected);
        db.add_up(user).await;
    }
}

/// Cut off at each place where it waits, from the first on.
async fn a_run_that_died_half_way_is_mended_by_the_next(db: Database) {
    let mut users = Vec::new();
    for name in ["ann", "bob", "cyd", "dan", "eve"] {
        let user = db.user(name).await;
        db.traffic(user, 1, 0, GIB, GIB).await;
        users.push(user);
    }
    for patience in 0..40 {
        let store = db.store.clone();
        tokio::select! {
            biased;
            settled = store.settle(&TERMS, within(1), 1) => { settled.unwrap(); }
            () = async { for _ in 0..patience * 20 { yield_now().await; } } => {}
        }
        // Behind the locks of a commit that had begun.
        db.execute("update users set credits_milli = credits_milli")
            .await;
        // All of a member's, or nothing.
        for &user in &users {
            let count = db.entries(user).await.len();
            assert!(count == 0 || count == 2, "{count}");
            db.add_up(user).await;
        }
    }
    db.settle(&TERMS, 1).await;
    for user in users {
        assert_eq!(db.balance(user).await, 700);
        assert_eq!(db.entries(user).await.len(), 2);
    }
}

async fn a_cost_is_paid_from_what_there_is_and_the_rest_later(db: Database) {
    let ann = db.user("ann").await;
    db.traffic(ann, 1, 0, GIB / 10 + 1, 2 * GIB).await;
    db.settle(&TERMS, 1).await;
    let first = [(CreditKind::Upload, 100), (CreditKind::Download, -100)];
    assert_eq!(db.amounts(ann).await, first);
    // Nothing to pay with.
    assert_eq!(db.settle(&TERMS, 2).await, Settled::default());
    db.grant(ann, 450).await;
    db.settle(&TERMS, 2).await;
    // A later hour earns what was owed from before.
    db.traffic(ann, 1, 2, GIB, GIB).await;
    db.settle(&TERMS, 3).await;
    let then = [
        (CreditKind::Grant, 450),
        (CreditKind::Download, -450),
        (CreditKind::Upload, 1000),
        (CreditKind::Download, -50),
        (CreditKind::Download, -300),
    ];
    assert_eq!(db.amounts(ann).await[2..], then);
    let entries = db.entries(ann).await;
    let owed = "what was owed for 2.0 GiB, 2027-01-15 08:00–09:00 UTC";
    assert_eq!(entries[3].note, owed);
    assert_eq!(entries[5].note, owed);
    assert_eq!(
        db.number("select count(*) from settlements where owed_milli > 0")
            .await,
        0
    );
    db.add_up(ann).await;
}

async fn with_debt_it_is_taken_at_once(db: Database) {
    let ann = db.user("ann").await;
    db.traffic(ann, 1, 0, 0, 2 * GIB).await;
    db.settle(&TERMS, 1).await;
    assert_eq!(db.amounts(ann).await, []);
    // The operator thinks otherwise by now.
    let mut terms = TERMS;
    terms.earning.allow_debt = true;
    db.traffic(ann, 1, 1, 0, GIB).await;
    db.settle(&terms, 2).await;
    assert_eq!(db.balance(ann).await, -900);
    assert_eq!(
        db.amounts(ann).await,
        [(CreditKind::Download, -600), (CreditKind::Download, -300)]
    );
    db.add_up(ann).await;
}

async fn an_hour_keeps_its_prices(db: Database) {
    let ann = db.user("ann").await;
    db.grant(ann, 10_000).await;
    db.traffic(ann, 1, 0, GIB, GIB).await;
    db.settle(&TERMS, 1).await;
    let dearer = Terms {
        earning: Earning {
            upload_milli_per_gib: 7,
            download_milli_per_gib: 900,
            allow_debt: false,
        },
        multiplier_milli: 2000,
        ..TERMS
    };
    // Late for the first hour, and the whole of another.
    db.traffic(ann, 1, 0, GIB, GIB).await;
    db.execute("update users set class = 'elite'").await;
    db.traffic(ann, 1, 1, 10 * GIB, GIB).await;
    db.settle(&dearer, 2).await;
    let expected = [
        (CreditKind::Upload, 1000),
        (CreditKind::Download, -300),
        (CreditKind::Upload, 1000),
        (CreditKind::Upload, 154),
        (CreditKind::Download, -300),
        (CreditKind::Download, -900),
    ];
    assert_eq!(db.amounts(ann).await[1..], expected);
}

async fn a_class_earns_what_it_is_due(db: Database) {
    for (class, expected) in [
        ("newbie", 1000),
        ("member", 1000),
        ("trusted", 1050),
        ("elite", 1100),
    ] {
        let user = db.user(class).await;
        db.execute(&format!(
            "update users set class = '{class}' where id = {}",
            user.0
        ))
        .await;
        db.traffic(user, 1, 0, GIB, 0).await;
        db.settle(&TERMS, 1).await;
        assert_eq!(db.balance(user).await, expected, "{class}");
    }
}

async fn a_balance_has_an_end(db: Database) {
    let ann = db.user("ann").await;
    let most = 1_000_000_000_000_000_000_i64;
    db.execute("update users set credits_milli = 999999999999999600")
        .await;
    db.traffic(ann, 1, 0, GIB, 0).await;
    db.settle(&TERMS, 1).await;
    assert_eq!(db.amounts(ann).await, [(CreditKind::Upload, 400)]);
    assert_eq!(db.balance(ann).await, most);
    assert_eq!(db.settle(&TERMS, 1).await, Settled::default());
    let mut debt = TERMS;
    debt.earning.allow_debt = true;
    db.execute("update users set credits_milli = -999999999999999900")
        .await;
    db.traffic(ann, 1, 1, 0, GIB).await;
    db.settle(&debt, 2).await;
    assert_eq!(db.balance(ann).await, -most);
}

/// Batches and settlements take the same rows at the same time.
async fn beside_the_ledger_nobody_waits_for_ever(db: Database) {
    use crate::harness::{change, counters, key};
    let mut keys = Vec::new();
    let torrents = [db.torrent(1).await, db.torrent(2).await];
    for name in ["ann", "bob", "cyd", "dan"] {
        let user = db.user(name).await;
        keys.extend(torrents.map(|torrent| key(user, torrent, 1)));
    }
    let announce = |step: u32| {
        let bytes = u64::from(step) << 27;
        let changes = keys.iter().map(|&key| {
            let mut change = change(key, &[counters(bytes, bytes / 4)]);
            change.first.at = UnixTime(within(0).0 + step);
            (change.first_at, change.announced_at) = (change.first.at, change.first.at);
            change
        });
        changes.collect()
    };
    db.apply(announce(0)).await;
    let settling = tokio::spawn({
        let db = db.clone();
        async move {
            for _ in 0..30 {
                db.store.settle(&TERMS, within(1), 3).await.unwrap();
            }
        }
    });
    for step in 1..=40 {
        db.apply(announce(step)).await;
    }
    settling.await.unwrap();
    db.settle(&TERMS, 1).await;
    for key in keys {
        // 40 times an eighth of a GiB in each of two torrents, and a quarter of it down.
        assert_eq!(db.balance(key.user).await, 10_000 - 750);
        db.add_up(key.user).await;
    }
}

async fn entries_add_up_to_balances_in_whatever_order(db: Database) {
    let mut random = StdRng::seed_from_u64(20_261_124);
    let mut users = Vec::new();
    for name in ["ann", "bob", "cyd"] {
        users.push(db.user(name).await);
    }
    let mut moved = std::collections::BTreeMap::new();
    let mut granted = [0; 3];
    let mut now = 1;
    for _ in 0..150 {
        let who = random.random_range(0..users.len());
        match random.random_range(0..10) {
            0 => now += 1,
            1 => {
                let milli = random.random_range(1..2000);
                db.grant(users[who], milli).await;
                granted[who] += milli;
            }
            2 | 3 => {
                db.settle(&TERMS, now).await;
            }
            _ => {
                let hour = random.random_range(0..=now);
                let (up, down) = (
                    random.random_range(0..GIB / 2),
                    random.random_range(0..2 * GIB),
                );
                let torrent = random.random_range(1..4);
                db.traffic(users[who], torrent, hour, up, down).await;
                let (uploaded, downloaded) = moved.entry((who, hour)).or_insert((0_i64, 0_i64));
                (*uploaded, *downloaded) = (*uploaded + up, *downloaded + down);
            }
        }
        for &user in &users {
            db.add_up(user).await;
            assert!(db.balance(user).await >= 0);
        }
    }
    db.settle(&TERMS, now + 1).await;
    for (who, &user) in users.iter().enumerate() {
        // Enough for whatever is owed.
        db.grant(user, 1_000_000).await;
        db.settle(&TERMS, now + 1).await;
        let mut expected = granted[who] + 1_000_000;
        for (_, (up, down)) in moved.iter().filter(|((whose, _), _)| *whose == who) {
            expected += up * 1000 / GIB - down * 300 / GIB;
        }
        assert_eq!(db.balance(user).await, expected);
        db.add_up(user).await;
    }
}
