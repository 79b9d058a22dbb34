//! What is over goes when its time has come, not a second before; and what follows from it stays.

use economy::policy::Policy;
use store::{
    Bought, Care, NotificationKind, Past, Purchase, SessionChange, Stats, StoreError, Terms,
};
use tracker_core::accounting::Baseline;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::record::{Role, SessionKey};
use tracker_core::registry::UserClass;

use crate::harness::{Database, NOW, batch, counters, key};
use crate::shop::{TOKEN, item};
use crate::traffic::{announce, at};

on_both_databases!(
    each_kind_goes_at_its_time_and_not_before,
    whoever_dies_half_way_is_gone_on_with,
    an_expired_invite_is_given_back_once,
    a_member_is_told_once_of_a_token_that_expires,
    pruned_sessions_leave_what_they_came_to,
    a_pruned_session_that_comes_back_begins_anew,
    old_traffic_goes_by_the_hour_and_stays_settled,
);

const DAY: u32 = 86_400;

impl Database {
    /// One of each that ended then, by expiry or revocation, and one of each that hasn't.
    async fn past(&self, user: UserId, end: UnixTime) {
        let (user, end) = (user.0, end.0);
        let bytes = if self.url.starts_with("sqlite") {
            "blob"
        } else {
            "bytea"
        };
        let key = format!("{user}, '', cast('x' as {bytes}), '', 1");
        for sql in [
            format!(
                "insert into bought_tokens (user_id, hours, bought_at, expires_at) values ({user}, 1, 1, {end}), ({user}, 1, 1, null)"
            ),
            // Used, it is the member's history.
            format!(
                "insert into bought_tokens (user_id, hours, bought_at, expires_at, starts_at, ends_at) values ({user}, 1, 1, {end}, 1, 2)"
            ),
            format!(
                "insert into logins (user_id, created_at, expires_at, revoked_at) values ({user}, 1, {end}, null), ({user}, 1, 4000000000, {end}), ({user}, 1, 4000000000, null)"
            ),
            format!(
                "insert into api_keys (user_id, label, digest, scopes, created_at, expires_at, revoked_at) values ({key}, {end}, null), ({key}, null, {end}), ({key}, null, null)"
            ),
            // Nobody knows of one without an end that it is worth nothing but by its row.
            format!(
                "insert into tokens (user_id, label, created_at, expires_at, revoked_at) values ({user}, '', 1, {end}, null), ({user}, '', 1, {end}, 1), ({user}, '', 1, null, 1), ({user}, '', 1, null, null)"
            ),
            format!(
                "insert into notifications (user_id, kind, message, created_at, read_at) values ({user}, 'class', '', 1, {end}), ({user}, 'class', '', 1, null)"
            ),
            format!(
                "insert into ip_blocks (cidr, reason, created_by, created_at, expires_at) values ('10.0.0.0/8', '', {user}, 1, {end}), ('11.0.0.0/8', '', {user}, 1, null)"
            ),
        ] {
            self.execute(&sql).await;
        }
    }

    async fn all_stats(&self, user: UserId) -> (Stats, economy::class::Standing) {
        let policy = Policy::default();
        let standing = self.store.standing(user, &policy, at(500 * DAY));
        (
            self.store.stats(user).await.unwrap(),
            standing.await.unwrap(),
        )
    }

    /// Like announces of a tracker that knows nothing.
    async fn seeds(&self, key: SessionKey, uploaded: u64, secs: u32, completed: Option<u32>) {
        let mut change = announce(key, uploaded, 0, secs);
        (change.role, change.bytes_left) = (Role::Seeder, 0);
        change.completed_at = completed.map(at);
        self.apply(vec![change]).await;
    }
}

async fn each_kind_goes_at_its_time_and_not_before(db: Database) {
    let ann = db.user("ann").await;
    db.past(ann, NOW).await;
    let before = UnixTime(NOW.0 - 1);
    for (what, gone) in [
        (Past::HeldTokens, 1),
        (Past::Logins, 2),
        (Past::ApiKeys, 2),
        (Past::AnnounceTokens, 2),
        (Past::Notifications, 1),
    ] {
        assert_eq!(db.store.delete_past(what, before, 100).await.unwrap(), 0);
        assert_eq!(db.store.delete_past(what, NOW, 100).await.unwrap(), gone);
        assert_eq!(db.store.delete_past(what, NOW, 100).await.unwrap(), 0);
    }
    assert_eq!(db.store.delete_past_ip_blocks(before).await.unwrap(), 0);
    assert_eq!(db.store.delete_past_ip_blocks(NOW).await.unwrap(), 1);
    for (table, left) in [
        ("select count(*) from bought_tokens", 2),
        ("select count(*) from logins", 1),
        ("select count(*) from api_keys", 1),
        ("select count(*) from tokens", 2),
        ("select count(*) from notifications", 1),
        ("select count(*) from ip_blocks", 1),
    ] {
        assert_eq!(db.number(table).await, left, "{table}");
    }
}

async fn whoever_dies_half_way_is_gone_on_with(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let torrent = db.torrent(1).await;
    for user in [ann, bob] {
        db.seeds(key(user, torrent, 1), 0, 0, None).await;
        db.seeds(key(user, torrent, 1), 0, 600, None).await;
    }
    db.past(ann, NOW).await;
    for more in [1, 1, 0] {
        let done = db.store.delete_past(Past::Logins, NOW, 1).await.unwrap();
        assert_eq!(done, more);
        let pruned = db.store.prune_sessions(at(601), 1).await.unwrap();
        assert_eq!(pruned, more);
    }
    for user in [ann, bob] {
        assert_eq!(db.all_stats(user).await.1.seed_secs, 600);
    }
}

async fn an_expired_invite_is_given_back_once(db: Database) {
    let ann = db.user("ann").await;
    db.execute("update users set invites = 4").await;
    for code in ["expired", "used", "revoked", "later"] {
        let end = if code == "later" { 1 } else { 0 };
        let taken = db
            .store
            .create_invite_from_allowance(code, ann, at(0), Some(at(100 + end)));
        assert!(taken.await.unwrap());
    }
    // It cost nothing.
    db.store
        .create_invite("staff", ann, at(0), Some(at(100)))
        .await
        .unwrap();
    db.execute("update invites set used_at = 1 where code = 'used'")
        .await;
    assert!(db.store.revoke_invite("revoked", ann, at(1)).await.unwrap());
    let invites = "select invites from users";
    assert_eq!(db.number(invites).await, 1);
    assert_eq!(db.store.give_back_invites(at(99), 10).await.unwrap(), 0);
    assert_eq!(db.store.give_back_invites(at(100), 10).await.unwrap(), 1);
    assert_eq!(db.number(invites).await, 2);
    assert_eq!(db.store.give_back_invites(at(100), 10).await.unwrap(), 0);
    assert!(
        !db.store
            .revoke_invite("expired", ann, at(200))
            .await
            .unwrap()
    );
    // Taken back by its maker after it has expired, it isn't given back again.
    assert!(db.store.revoke_invite("later", ann, at(200)).await.unwrap());
    assert_eq!(db.store.give_back_invites(at(200), 10).await.unwrap(), 0);
    assert_eq!(db.number(invites).await, 3);
}

async fn a_member_is_told_once_of_a_token_that_expires(db: Database) {
    let ann = db.rich("ann", 100).await;
    let torrent = db.torrent(1).await;
    let buy = async |torrent, expires: Option<u32>| {
        let purchase = Purchase {
            user: ann,
            item: &item(1, TOKEN),
            torrent,
            token_expires_at: expires.map(at),
            at: at(0),
        };
        let bought = db.store.buy(&purchase).await.unwrap();
        assert!(matches!(bought, Bought::Done { .. }));
    };
    let hash = tracker_core::ids::InfoHash([1; 20]);
    for expires in [Some(10 * DAY), Some(20 * DAY), None] {
        buy(None, expires).await;
    }
    buy(Some((torrent, hash)), Some(10 * DAY)).await;
    let warn = async |secs| {
        let (now, until) = (at(secs), at(secs + 3 * DAY));
        db.store.warn_of_tokens(now, until, 1).await.unwrap()
    };
    assert_eq!(warn(7 * DAY - 1).await, 0);
    assert_eq!(warn(7 * DAY).await, 1);
    assert_eq!(warn(7 * DAY).await, 0);
    // Too late to do anything about it.
    assert_eq!(warn(20 * DAY).await, 0);
    let told = db.store.notifications(ann, i64::MAX, false, 10).await;
    let told = told.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind, NotificationKind::Token);
    assert_eq!(
        told[0].message,
        "A freeleech token of yours (1 h) can be used until 2027-01-25 08:00 UTC"
    );
}

async fn pruned_sessions_leave_what_they_came_to(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let (one, other) = (db.torrent(1).await, db.torrent(2).await);
    let clients = [
        (key(ann, one, 1), 10),
        (key(ann, one, 2), 5000),
        (key(ann, other, 1), 9000),
        (key(bob, one, 1), 10),
    ];
    for (key, secs) in clients {
        db.seeds(key, 0, secs, Some(1)).await;
        db.seeds(key, 7, secs + 600, None).await;
    }
    // Less than what asks for nothing more.
    let rules = Policy::default().hit_and_run;
    let owed = async |user| {
        let owed = db.store.owed_snatches(user, &rules, at(10_000));
        owed.await.unwrap()
    };
    let before = [db.all_stats(ann).await, db.all_stats(bob).await];
    let owed_before = [owed(ann).await, owed(bob).await];
    assert_eq!(before[0].1.seed_secs, 1800);
    assert_eq!(owed_before[0].len(), 2);
    assert_eq!(
        (
            owed_before[0][0].snatch.uploaded,
            owed_before[0][0].snatch.seed_secs
        ),
        (14, 1200)
    );
    // Who has announced in the first second that is kept stays.
    assert_eq!(db.store.prune_sessions(at(610), 100).await.unwrap(), 0);
    db.execute("update sessions set active = false").await;
    let stats = async |user| {
        let (stats, standing) = db.all_stats(user).await;
        (stats, standing.seed_secs)
    };
    let kept = [stats(ann).await, stats(bob).await];
    for (end, gone) in [(611, 2), (5600, 0), (5601, 1), (9601, 1)] {
        assert_eq!(db.store.prune_sessions(at(end), 100).await.unwrap(), gone);
        assert_eq!([stats(ann).await, stats(bob).await], kept, "{end}");
        let now = [owed(ann).await, owed(bob).await];
        for (now, before) in now.iter().flatten().zip(owed_before.iter().flatten()) {
            assert_eq!(now.torrent, before.torrent);
            assert_eq!(now.snatch.uploaded, before.snatch.uploaded);
            assert_eq!(now.snatch.seed_secs, before.snatch.seed_secs);
        }
        assert_eq!(now[0].len() + now[1].len(), 3);
    }
    assert_eq!(db.number("select count(*) from sessions").await, 0);
}

async fn a_pruned_session_that_comes_back_begins_anew(db: Database) {
    let (ann, _, key) = db.one_leecher().await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    db.apply(vec![announce(key, 100, 10, 10)]).await;
    assert_eq!(db.store.prune_sessions(at(11), 10).await.unwrap(), 1);
    // A tracker that still has its baseline is told that it isn't so.
    let back = SessionChange {
        known: Some(Baseline::starting_at(counters(100, 10))),
        ..announce(key, 5000, 500, 20)
    };
    let from = db.store.mark("here").await.unwrap().unwrap_or(0);
    let next = batch(from, from + 1, vec![back.clone()]);
    let refused = db.store.apply(&next, Care::Trusting).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    let applied = db.store.apply(&next, Care::Careful).await.unwrap();
    assert_eq!(applied.growth, counters(0, 0));
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(100, 10));
    db.apply(vec![announce(key, 5001, 502, 30)]).await;
    assert_eq!(db.store.totals(ann).await.unwrap(), counters(101, 12));
}

async fn old_traffic_goes_by_the_hour_and_stays_settled(db: Database) {
    const GIB: u64 = 1 << 30;
    let (ann, torrent, key) = db.one_leecher().await;
    let other = crate::harness::key(db.user("bob").await, torrent, 2);
    for hour in 0..4_u32 {
        for key in [key, other] {
            let announced = announce(key, u64::from(hour) * GIB, 0, hour * 3600);
            db.apply(vec![announced]).await;
        }
    }
    let terms = Terms {
        earning: Policy::default().earning,
        multiplier_milli: 1000,
        class_upload_percent: UserClass::ALL.map(|_| 100),
    };
    let settle = async || db.store.settle(&terms, at(DAY), 10).await.unwrap();
    settle().await;
    let balance = db.balance(ann).await;
    assert!(balance > 0);
    let first = db.store.hours_of_history().await.unwrap().unwrap().0;
    let rows = "select count(*) from traffic";
    let all = db.number(rows).await;
    assert_eq!(db.store.prune_traffic(first, 1).await.unwrap(), None);
    assert_eq!(db.store.prune_traffic(first + 1, 9).await.unwrap(), Some(2));
    assert_eq!(db.number(rows).await, all - 2);
    // An hour at a time, and none that is kept.
    assert_eq!(db.store.prune_traffic(first + 3, 1).await.unwrap(), Some(2));
    assert_eq!(
        db.store.hours_of_history().await.unwrap().unwrap().0,
        first + 2
    );
    assert_eq!(settle().await.entries, 0);
    assert_eq!(db.balance(ann).await, balance);
    // What still comes for an hour that is gone counts once.
    let third = crate::harness::key(ann, torrent, 3);
    for (gibs, secs) in [(0, 3601), (1, 3602)] {
        db.apply(vec![announce(third, gibs * GIB, 0, secs)]).await;
    }
    assert_eq!(settle().await.entries, 1);
    assert_eq!(db.balance(ann).await, balance / 3 * 4);
    assert_eq!(settle().await.entries, 0);
}
