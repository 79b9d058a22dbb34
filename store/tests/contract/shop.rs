//! What credit buys and members give: paid once or not at all; and what a member owes the torrents they took.

use economy::policy::{HitAndRun, Item, Policy, Ware};
use economy::shop::NoDeal;
use economy::snatch::SnatchState;
use economy::window::Scope;
use store::{Bought, CreditKind, Gift, Given, OwedSnatch, Purchase, Store, StoreError};
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::record::Role;
use tracker_core::registry::MemberStatus;

use crate::harness::{Database, NOW, counters, key};
use crate::traffic::{announce, at};

on_both_databases!(
    a_purchase_is_paid_entered_and_theirs,
    what_cannot_be_paid_changes_nothing,
    money_for_one_buys_one,
    numbers_stop_at_their_ends,
    a_token_makes_one_torrent_free_for_its_owner,
    an_announce_that_spans_a_token_is_split_there,
    a_token_beside_policies_is_the_best_of_all,
    a_hint_is_no_excuse_at_the_end_of_a_token,
    a_token_that_held_before_a_silence_counts,
    a_second_token_waits_for_the_end_of_the_first,
    a_snatch_is_settled_once,
    a_gift_takes_what_it_gives,
    a_gift_to_nobody_comes_to_nothing,
    gifts_in_a_ring_conserve_the_sum,
    a_snatch_is_owed_until_it_is_given_back,
    a_snatch_is_owed_to_the_second_and_the_byte,
    what_nobody_can_give_back_is_not_owed,
    what_is_owed_is_found_along_indexes,
    a_standing_is_what_classes_ask_for,
);

const DAY: u32 = 86_400;

pub(crate) fn item(price_milli: u32, what: Ware) -> Item {
    Item {
        id: "it".to_owned(),
        name: "This".to_owned(),
        price_milli,
        what,
    }
}

pub(crate) const TOKEN: Ware = Ware::FreeleechToken { hours: 1 };

fn rules() -> HitAndRun {
    Policy::default().hit_and_run
}

impl Database {
    /// A member who has that.
    pub(crate) async fn rich(&self, name: &str, milli: i64) -> UserId {
        let user = self.user(name).await;
        let id = user.0;
        let sql = format!("update users set credits_milli = {milli} where id = {id}");
        self.execute(&sql).await;
        user
    }

    async fn buy(
        &self,
        user: UserId,
        price: u32,
        what: Ware,
        torrent: Option<TorrentId>,
        at: UnixTime,
    ) -> Bought {
        buy(&self.store, user, price, what, torrent, at).await
    }

    /// A token for an hour, from then on.
    pub(crate) async fn token(&self, user: UserId, torrent: TorrentId, secs: u32) -> Bought {
        self.buy(user, 0, TOKEN, Some(torrent), at(secs)).await
    }

    pub(crate) async fn balance(&self, user: UserId) -> i64 {
        self.store.stats(user).await.unwrap().credits_milli
    }

    async fn owed(&self, user: UserId, now: u32) -> Vec<OwedSnatch> {
        let rules = rules();
        let owed = self.store.owed_snatches(user, &rules, at(now));
        owed.await.unwrap()
    }
}

async fn buy(
    store: &Store,
    user: UserId,
    price: u32,
    what: Ware,
    torrent: Option<TorrentId>,
    at: UnixTime,
) -> Bought {
    let purchase = Purchase {
        user,
        item: &item(price, what),
        torrent: torrent.map(|torrent| (torrent, InfoHash([1; 20]))),
        token_expires_at: None,
        at,
    };
    store.buy(&purchase).await.unwrap()
}

fn is_done(bought: &Bought) -> bool {
    matches!(bought, Bought::Done { .. })
}

async fn a_purchase_is_paid_entered_and_theirs(db: Database) {
    let (ann, bob) = (db.rich("ann", 100).await, db.rich("bob", 100).await);
    let torrent = db.torrent(1).await;
    let credit = Ware::UploadCredit { bytes: 1000 };
    assert!(is_done(&db.buy(ann, 30, Ware::Invite, None, NOW).await));
    assert!(is_done(&db.buy(ann, 40, credit, None, NOW).await));
    let token = db.buy(ann, 30, TOKEN, Some(torrent), NOW).await;
    let Bought::Done { entry, token } = token else {
        panic!("{token:?}");
    };
    let used = token.unwrap().used.unwrap();
    assert_eq!(
        (used.starts_at, used.ends_at),
        (NOW, UnixTime(NOW.0 + 3600))
    );

    let stats = db.store.stats(ann).await.unwrap();
    assert_eq!(stats.credits_milli, 0);
    assert_eq!(stats.credited, counters(1000, 0));
    // The tracker counted none of it.
    assert_eq!(stats.totals, counters(0, 0));
    assert_eq!(db.store.user(ann).await.unwrap().unwrap().invites, 1);
    let entries = db.store.credit_entries(ann, i64::MAX, 10).await.unwrap();
    assert_eq!(entries[0], entry);
    let amounts: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind, entry.amount_milli, entry.balance_milli))
        .collect();
    let bought = CreditKind::Purchase;
    assert_eq!(
        amounts,
        [(bought, -30, 0), (bought, -40, 30), (bought, -30, 70)]
    );
    assert_eq!(entry.note, "This");
    assert_eq!(
        (entry.torrent, entries[1].torrent),
        (Some(InfoHash([1; 20])), None)
    );
    assert_eq!(db.balance(bob).await, 100, "somebody else's");
}

async fn what_cannot_be_paid_changes_nothing(db: Database) {
    let ann = db.rich("ann", 29).await;
    let torrent = db.torrent(1).await;
    db.execute("insert into snatches (user_id, torrent_id, completed_at) values (1, 1, 5)")
        .await;
    for (what, torrent) in [
        (Ware::Invite, None),
        (Ware::UploadCredit { bytes: 1000 }, None),
        (TOKEN, Some(torrent)),
        (Ware::SettleHitAndRun, Some(torrent)),
    ] {
        let refused = db.buy(ann, 30, what, torrent, NOW).await;
        let missing = Bought::NoDeal(NoDeal::TooLittle { missing_milli: 1 });
        assert_eq!(refused, missing, "{what:?}");
    }
    let settle = db.buy(ann, 1, Ware::SettleHitAndRun, None, NOW).await;
    assert_eq!(settle, Bought::NoTorrent);
    assert_eq!(db.balance(ann).await, 29);
    for nothing in [
        "select count(*) from credit_entries",
        "select count(*) from freeleech_tokens",
        "select count(*) from bought_tokens",
        "select count(*) from snatches where settled_at is not null",
        "select invites from users",
        "select credited_uploaded from users",
    ] {
        assert_eq!(db.number(nothing).await, 0, "{nothing}");
    }
}

async fn money_for_one_buys_one(db: Database) {
    let ann = db.rich("ann", 199).await;
    let buyers: Vec<_> = (0..8)
        .map(|_| {
            let store = db.store.for_requests();
            tokio::spawn(async move { buy(&store, ann, 100, Ware::Invite, None, NOW).await })
        })
        .collect();
    let mut done = 0;
    for buyer in buyers {
        match buyer.await.unwrap() {
            Bought::Done { .. } => done += 1,
            Bought::NoDeal(why) => assert_eq!(why, NoDeal::TooLittle { missing_milli: 1 }),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(db.balance(ann).await, 99);
    assert_eq!(db.number("select invites from users").await, 1);
    assert_eq!(db.number("select count(*) from credit_entries").await, 1);
}

async fn numbers_stop_at_their_ends(db: Database) {
    let ann = db.rich("ann", 100).await;
    db.execute("update users set credited_uploaded = 9223372036854775807, invites = 1000000000")
        .await;
    let credit = Ware::UploadCredit { bytes: u64::MAX };
    assert!(is_done(&db.buy(ann, 1, credit, None, NOW).await));
    assert_eq!(db.credited_to(ann).await.uploaded, i64::MAX as u64);
    assert_eq!(db.buy(ann, 1, Ware::Invite, None, NOW).await, Bought::Full);
    assert_eq!(db.balance(ann).await, 99);
    let forever = Ware::FreeleechToken { hours: u32::MAX };
    let torrent = db.torrent(1).await;
    let token = db.buy(ann, 1, forever, Some(torrent), NOW).await;
    assert!(is_done(&token), "{token:?}");
}

async fn a_token_makes_one_torrent_free_for_its_owner(db: Database) {
    let (ann, _, paid) = db.one_leecher().await;
    let bob = db.user("bob").await;
    let free = db.torrent(2).await;
    assert!(is_done(&db.token(ann, free, 0).await));
    let free = [ann, bob].map(|user| key(user, free, 1));
    for (bytes, secs) in [(0, 10), (100, 20)] {
        let mut changes = vec![announce(paid, bytes, bytes, secs)];
        changes.extend(free.map(|key| announce(key, 3 * bytes, 3 * bytes, secs)));
        db.apply(changes).await;
    }
    assert_eq!(db.credited_to(ann).await, counters(400, 100));
    assert_eq!(db.credited_to(bob).await, counters(300, 300));
}

async fn an_announce_that_spans_a_token_is_split_there(db: Database) {
    let (ann, torrent, key) = db.one_leecher().await;
    db.token(ann, torrent, 100).await;
    db.apply(vec![announce(key, 0, 0, 50)]).await;
    // Half of it before.
    db.apply(vec![announce(key, 0, 1000, 150)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 500));
    // To its last second, and from there.
    db.apply(vec![announce(key, 0, 3000, 3700)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 500));
    db.apply(vec![announce(key, 0, 3010, 3701)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 510));
}

async fn a_token_beside_policies_is_the_best_of_all(db: Database) {
    let (ann, torrent, key) = db.one_leecher().await;
    db.policy(Scope::Global, 50, 300, 0, None).await;
    db.token(ann, torrent, 0).await;
    db.apply(vec![announce(key, 0, 0, 10)]).await;
    db.apply(vec![announce(key, 100, 100, 20)]).await;
    assert_eq!(db.credited_to(ann).await, counters(300, 0));
}

/// Memory knows where the session stands, and not when it announced.
async fn a_hint_is_no_excuse_at_the_end_of_a_token(db: Database) {
    let (ann, torrent, key) = db.one_leecher().await;
    db.token(ann, torrent, 0).await;
    let first = db.apply(vec![announce(key, 0, 0, 3500)]).await;
    let mut second = announce(key, 0, 1000, 3700);
    second.known = first.baselines[0];
    db.apply(vec![second]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 500));
}

/// What the batch knows at first goes back an hour.
async fn a_token_that_held_before_a_silence_counts(db: Database) {
    let (ann, torrent, key) = db.one_leecher().await;
    db.token(ann, torrent, 0).await;
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    db.apply(vec![announce(key, 0, 1000, 36_000)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 900));
}

async fn a_second_token_waits_for_the_end_of_the_first(db: Database) {
    let ann = db.rich("ann", 100).await;
    let (torrent, other) = (db.torrent(1).await, db.torrent(2).await);
    let token = async |torrent, secs| db.buy(ann, 10, TOKEN, Some(torrent), at(secs)).await;
    assert!(is_done(&token(torrent, 0).await));
    assert_eq!(token(torrent, 3599).await, Bought::FreeUntil(at(3600)));
    assert_eq!(db.balance(ann).await, 90, "what was refused isn't paid");
    assert!(is_done(&token(other, 3599).await));
    assert!(is_done(&token(torrent, 3600).await));
    assert_eq!(db.balance(ann).await, 70);
}

async fn a_snatch_is_settled_once(db: Database) {
    let (ann, bob) = (db.rich("ann", 100).await, db.rich("bob", 100).await);
    let torrent = db.torrent(1).await;
    let mut change = announce(key(ann, torrent, 1), 0, 0, 0);
    change.completed_at = Some(at(0));
    db.apply(vec![change]).await;
    let settle = async |user| {
        let torrent = Some(torrent);
        db.buy(user, 10, Ware::SettleHitAndRun, torrent, at(1))
            .await
    };
    assert_eq!(db.owed(ann, 1).await.len(), 1);
    assert_eq!(settle(bob).await, Bought::NothingToSettle);
    assert!(is_done(&settle(ann).await));
    assert_eq!(db.owed(ann, 1).await, []);
    assert_eq!(settle(ann).await, Bought::NothingToSettle);
    assert_eq!((db.balance(ann).await, db.balance(bob).await), (90, 100));
    // Taken again, it is settled still.
    let mut again = announce(key(ann, torrent, 2), 0, 0, 10);
    again.completed_at = Some(at(10));
    db.apply(vec![again]).await;
    assert_eq!(db.owed(ann, 11).await, []);
}

fn gift<'a>(from: (UserId, &'a str), to: (UserId, &'a str), amount_milli: i64) -> Gift<'a> {
    Gift {
        from,
        to,
        amount_milli,
        note: "thanks",
        at: NOW,
    }
}

async fn a_gift_takes_what_it_gives(db: Database) {
    let (ann, bob) = (db.rich("ann", 100).await, db.rich("bob", 5).await);
    let (ann_, bob_) = ((ann, "ann"), (bob, "bob"));
    let give = async |from, to, amount| db.store.give(&gift(from, to, amount)).await.unwrap();
    // Both ways, as members are locked in one order.
    let Given::Done(entry) = give(ann_, bob_, 60).await else {
        panic!("it can be paid");
    };
    assert!(matches!(give(bob_, ann_, 65).await, Given::Done(_)));
    assert_eq!((db.balance(ann).await, db.balance(bob).await), (105, 0));
    let entries = async |user| db.store.credit_entries(user, i64::MAX, 10).await.unwrap();
    let (anns, bobs) = (entries(ann).await, entries(bob).await);
    assert_eq!(anns[1], entry);
    assert_eq!((anns[1].amount_milli, anns[1].balance_milli), (-60, 40));
    assert_eq!((bobs[1].amount_milli, bobs[1].balance_milli), (60, 65));
    assert_eq!(
        (anns[1].kind, bobs[1].kind),
        (CreditKind::Gift, CreditKind::Gift)
    );
    assert_eq!(anns[1].note, "to bob: thanks");
    assert_eq!(bobs[1].note, "from ann: thanks");
    let told = db
        .store
        .notifications(bob, i64::MAX, false, 10)
        .await
        .unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message, "ann gave you 0.06 credits: thanks");

    let too_little = Given::NoDeal(NoDeal::TooLittle { missing_milli: 1 });
    assert_eq!(give(ann_, bob_, 106).await, too_little);
    assert_eq!(give(bob_, ann_, 1).await, too_little);
    for nothing in [0, -5, i64::MIN] {
        assert_eq!(
            give(ann_, bob_, nothing).await,
            Given::NoDeal(NoDeal::NotPositive)
        );
    }
    db.execute("update users set credits_milli = 1000000000000000000 where username = 'bob'")
        .await;
    assert_eq!(give(ann_, bob_, 1).await, Given::NoDeal(NoDeal::TooMuch));
    assert_eq!(db.balance(ann).await, 105);
    assert_eq!(db.number("select count(*) from credit_entries").await, 4);
    assert_eq!(db.number("select count(*) from notifications").await, 2);
}

async fn a_gift_to_nobody_comes_to_nothing(db: Database) {
    let (ann, bob) = (db.rich("ann", 100).await, db.rich("bob", 100).await);
    let disable = db
        .store
        .set_user_status(bob, MemberStatus::Disabled, NOW)
        .await;
    disable.unwrap();
    let eve = db.rich("eve", 100).await;
    let give = async |from, to| db.store.give(&gift((from, "x"), (to, "y"), 10)).await;
    assert_eq!(give(ann, ann).await.unwrap(), Given::NoTaker);
    assert_eq!(give(ann, bob).await.unwrap(), Given::NoTaker);
    assert_eq!(give(eve, bob).await.unwrap(), Given::NoTaker);
    let nobody = give(ann, UserId(99)).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
    for user in [ann, bob, eve] {
        assert_eq!(db.balance(user).await, 100);
    }
    assert_eq!(db.number("select count(*) from credit_entries").await, 0);
}

async fn gifts_in_a_ring_conserve_the_sum(db: Database) {
    const MEMBERS: usize = 5;
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(db.rich(&format!("member{number}"), 100).await);
    }
    let givers: Vec<_> = (0..4 * MEMBERS)
        .map(|number| {
            let store = db.store.for_requests();
            // Half of them the other way round.
            let step = if number < 2 * MEMBERS { 1 } else { MEMBERS - 1 };
            let from = (members[number % MEMBERS], "from");
            let to = (members[(number + step) % MEMBERS], "to");
            tokio::spawn(async move {
                for amount in 1..=10 {
                    match store.give(&gift(from, to, amount * 7)).await.unwrap() {
                        Given::Done(_) | Given::NoDeal(NoDeal::TooLittle { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    for giver in givers {
        giver.await.unwrap();
    }
    let sum = 100 * MEMBERS as i64;
    assert_eq!(
        db.number("select cast(sum(credits_milli) as bigint) from users")
            .await,
        sum
    );
    let sum_of_gifts = "select cast(sum(amount_milli) as bigint) from credit_entries";
    assert_eq!(db.number(sum_of_gifts).await, 0);
    for user in members {
        let balance = db.balance(user).await;
        assert!(balance >= 0);
        let entries = db.store.credit_entries(user, i64::MAX, 200).await.unwrap();
        assert_eq!(entries[0].balance_milli, balance);
        // Each follows from the one before.
        let mut after = balance;
        for entry in entries {
            assert_eq!(entry.balance_milli, after);
            after -= entry.amount_milli;
        }
        assert_eq!(after, 100);
    }
}

async fn a_snatch_is_owed_until_it_is_given_back(db: Database) {
    let (ann, torrent, key1) = db.one_leecher().await;
    let seeding = |key, uploaded, secs, active| {
        let mut change = announce(key, uploaded, 0, secs);
        change.role = Role::Seeder;
        change.active = active;
        change
    };
    db.apply(vec![announce(key1, 0, 0, 0)]).await;
    assert_eq!(db.owed(ann, 0).await, []);
    // What she does elsewhere has nothing to do with it.
    let elsewhere = key(ann, db.torrent(2).await, 1);
    for (uploaded, secs) in [(0, 0), (1000, 100)] {
        db.apply(vec![seeding(elsewhere, uploaded, secs, true)])
            .await;
    }
    let mut completed = seeding(key1, 0, 0, true);
    completed.completed_at = Some(at(0));
    db.apply(vec![completed]).await;
    // Two clients of hers add up in what they uploaded. Side by side they don't seed for longer.
    let key2 = key(ann, torrent, 2);
    db.apply(vec![
        seeding(key1, 0, 1000, true),
        seeding(key2, 0, 1000, true),
    ])
    .await;
    db.apply(vec![
        seeding(key1, 10, 2000, true),
        seeding(key2, 15, 2000, false),
    ])
    .await;
    let [owed] = &db.owed(ann, 2000).await[..] else {
        panic!("one is owed");
    };
    assert_eq!((owed.torrent, owed.info_hash), (torrent, InfoHash([1; 20])));
    assert_eq!((owed.snatch.uploaded, owed.snatch.seed_secs), (25, 2000));
    assert_eq!((owed.snatch.size, owed.snatch.is_seeding), (30, true));
    let missing_secs = 72 * 3600 - 2000;
    let until = at(14 * DAY);
    assert_eq!(
        owed.state,
        SnatchState::Open {
            until,
            missing_secs
        }
    );
    let state = async |now| db.owed(ann, now).await[0].state;
    let warned = SnatchState::Warned {
        until,
        missing_secs,
    };
    assert_eq!(state(12 * DAY).await, warned);
    // Who hasn't announced for a day isn't seeding.
    let since = until;
    let missed = SnatchState::HitAndRun {
        since,
        missing_secs,
    };
    assert_eq!(state(14 * DAY).await, missed);
    assert!(db.owed(ann, 14 * DAY).await[0].is_hit_and_run());
    db.apply(vec![seeding(key1, 10, 14 * DAY, true)]).await;
    assert_eq!(state(14 * DAY + 10).await, warned);
    // Others owe nothing, and a site that doesn't look has nobody who does.
    let bob = db.user("bob").await;
    assert_eq!(db.owed(bob, 2000).await, []);
    let mut unwatched = rules();
    unwatched.enabled = false;
    let none = db.store.owed_snatches(ann, &unwatched, at(15 * DAY));
    assert_eq!(none.await.unwrap(), []);
}

async fn a_snatch_is_owed_to_the_second_and_the_byte(db: Database) {
    let ann = db.user("ann").await;
    db.torrent(1).await;
    let start = at(0).0;
    db.execute(&format!(
        "insert into snatches (user_id, torrent_id, completed_at) values (1, 1, {start})"
    ))
    .await;
    db.apply(vec![announce(key(ann, TorrentId(1), 1), 0, 0, 0)])
        .await;
    for (uploaded, seeded, is_owed) in [
        (29_i64, 72 * 3600 - 1, true),
        (30, 0, false),
        (0, 72 * 3600, false),
        (i64::MAX, 0, false),
    ] {
        db.execute(&format!(
            "update sessions set credited_uploaded = {uploaded}, seeded_secs = {seeded}"
        ))
        .await;
        let owed = db.owed(ann, 15 * DAY).await;
        assert_eq!(!owed.is_empty(), is_owed, "{uploaded} {seeded}: {owed:?}");
    }
    // Two that uploaded more than 64 bits hold together.
    db.apply(vec![announce(key(ann, TorrentId(1), 2), 0, 0, 0)])
        .await;
    db.execute("update sessions set credited_uploaded = 9223372036854775807, seeded_secs = 0")
        .await;
    assert_eq!(db.owed(ann, 15 * DAY).await, []);
}

async fn what_nobody_can_give_back_is_not_owed(db: Database) {
    let ann = db.user("ann").await;
    let start = at(0).0;
    for number in 1..=4 {
        db.torrent(number).await;
        db.execute(&format!(
            "insert into snatches (user_id, torrent_id, completed_at) values (1, {number}, {start} + {number})"
        ))
        .await;
    }
    let numbers = async |now| {
        let owed = db.owed(ann, now).await;
        owed.iter().map(|owed| owed.torrent.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers(15 * DAY).await, [1, 2, 3, 4]);
    db.execute("update torrents set status = 'closed' where id = 2")
        .await;
    db.execute("update torrents set deleted_at = 5 where id = 3")
        .await;
    assert_eq!(numbers(15 * DAY).await, [1, 4]);
    // A year after its time it is forgotten.
    assert_eq!(numbers((14 + 365) * DAY).await, [1, 4]);
    assert_eq!(numbers((14 + 365) * DAY + 1).await, [4]);
}

/// A site with many, of which one member has a few.
async fn what_is_owed_is_found_along_indexes(db: Database) {
    db.torrent(1).await;
    let start = at(0).0;
    let (hash, peer) = match db.url.starts_with("sqlite") {
        true => ("unhex(printf('%040x', n))", "zeroblob(20)"),
        false => (
            "decode(lpad(to_hex(n), 40, '0'), 'hex')",
            "decode(repeat('00', 20), 'hex')",
        ),
    };
    let numbers = |rows| {
        format!(
            "(with recursive series (n) as (select 1 union all select n + 1 from series where n < {rows})
              select n from series) as numbers"
        )
    };
    for sql in [
        format!(
            "insert into torrents (info_hash, name, size, piece_length, file_count, private, status, created_at)
             select {hash}, 'Some.Thing.With.A.Name.' || n, 1, 1, 1, 1 = 1, 'open', 1 from {}",
            numbers(20_000)
        ),
        format!(
            "insert into snatches (user_id, torrent_id, completed_at, settled_at)
             select n % 600 + 1, n / 20 + 1, {start}, case when n / 600 % 5 > 0 then 1 end from {}",
            numbers(30_000)
        ),
        format!(
            "insert into sessions (user_id, torrent_id, peer_id, uploaded, downloaded, written_by, credited_uploaded,
                credited_downloaded, bytes_left, role, started_at, announced_at, active)
             select user_id, torrent_id, {peer}, 0, 0, 0, 0, 0, 0, 'seeder', 1, 1, 1 = 1 from snatches"
        ),
        "analyze".to_owned(),
    ] {
        db.execute(&sql).await;
    }
    let user = UserId(7);
    assert_eq!(db.owed(user, 15 * DAY).await.len(), 10);
    let rules = rules();
    let explained = db.store.explain_owed_snatches(user, &rules, at(15 * DAY));
    let plan = explained.await.unwrap();
    let is_whole = |line: &&String| {
        let line = line.trim().trim_start_matches("->").trim();
        line.starts_with("Seq Scan") || line.starts_with("SCAN")
    };
    assert_eq!(plan.iter().find(is_whole), None, "{plan:#?}");
    for index in ["snatches_unsettled", "sessions"] {
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:#?}");
    }
}

async fn a_standing_is_what_classes_ask_for(db: Database) {
    let (ann, _, key1) = db.one_leecher().await;
    let policy = Policy::default();
    let standing = async |now| db.store.standing(ann, &policy, at(now)).await.unwrap();
    let joined = NOW.0 - at(0).0;
    assert_eq!(standing(joined + 100).await.age_secs, 100);
    assert_eq!(standing(0).await.ratio_milli, None);
    db.apply(vec![announce(key1, 0, 0, 0)]).await;
    let mut change = announce(key1, 1000, 300, 10);
    change.completed_at = Some(at(10));
    db.apply(vec![change]).await;
    // Bought upload raises the ratio, and isn't what the tracker counted.
    db.execute("update users set credited_uploaded = 2000, class = 'trusted'")
        .await;
    db.execute("update sessions set seeded_secs = 5000").await;
    db.execute("update torrents set uploader_id = 1").await;
    let now = standing(20).await;
    assert_eq!(now.class, tracker_core::registry::UserClass::Trusted);
    assert_eq!((now.uploaded, now.ratio_milli), (1000, Some(6666)));
    assert_eq!((now.seed_secs, now.torrents), (5000, 1));
    // A ratio of more than 1 gave it back.
    assert_eq!(standing(15 * DAY).await.open_hit_and_runs, 0);
    db.execute("update sessions set credited_uploaded = 0")
        .await;
    db.execute("update torrents set status = 'pending'").await;
    assert_eq!(standing(15 * DAY).await.torrents, 0);
    db.execute("update torrents set status = 'open'").await;
    assert_eq!(standing(15 * DAY).await.open_hit_and_runs, 1);
    assert_eq!(standing(20).await.open_hit_and_runs, 0);
    let nobody = db.store.standing(UserId(9), &policy, NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
}
