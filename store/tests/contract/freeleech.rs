//! Freeleech tokens that members hold, and use when they like.

use store::{Bought, FreeleechToken, Purchase, TokenUse};
use tracker_core::ids::{InfoHash, TorrentId, UserId};

use crate::harness::{Database, counters};
use crate::shop::{TOKEN, item};
use crate::traffic::{announce, at};

on_both_databases!(
    a_held_token_frees_nothing_until_it_is_used,
    a_token_is_used_once_by_its_owner,
    a_token_expires_to_the_second,
    a_torrent_that_is_free_takes_no_other_token,
    of_many_uses_at_once_one_succeeds,
    tokens_are_listed_newest_first,
);

impl Database {
    /// A token for an hour, held, which expires then.
    async fn hold(&self, user: UserId, expires: Option<u32>) -> FreeleechToken {
        let purchase = Purchase {
            user,
            item: &item(10, TOKEN),
            torrent: None,
            token_expires_at: expires.map(at),
            at: at(0),
        };
        match self.store.buy(&purchase).await.unwrap() {
            Bought::Done {
                token: Some(token), ..
            } => token,
            other => panic!("{other:?}"),
        }
    }

    async fn use_token(&self, user: UserId, token: i64, torrent: TorrentId, secs: u32) -> TokenUse {
        let hash = InfoHash([torrent.0 as u8; 20]);
        let used = self
            .store
            .use_freeleech_token(user, token, (torrent, hash), at(secs));
        used.await.unwrap()
    }

    async fn tokens_of(&self, user: UserId) -> Vec<FreeleechToken> {
        let listed = self.store.freeleech_tokens(user, i64::MAX, 100).await;
        listed.unwrap()
    }
}

fn is_done(used: &TokenUse) -> bool {
    matches!(used, TokenUse::Done(_))
}

async fn a_held_token_frees_nothing_until_it_is_used(db: Database) {
    let ann = db.rich("ann", 10).await;
    let torrent = db.torrent(1).await;
    let key = crate::harness::key(ann, torrent, 1);
    let held = db.hold(ann, None).await;
    assert_eq!(db.balance(ann).await, 0);
    assert_eq!(
        (held.hours, held.bought_at, held.expires_at, held.used),
        (1, at(0), None, None)
    );
    assert_eq!(db.tokens_of(ann).await, std::slice::from_ref(&held));
    db.apply(vec![announce(key, 0, 0, 0)]).await;
    db.apply(vec![announce(key, 0, 100, 10)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 100));

    let used = db.use_token(ann, held.id, torrent, 20).await;
    let TokenUse::Done(used) = used else {
        panic!("{used:?}");
    };
    let where_and_when = used.used.unwrap();
    assert_eq!(where_and_when.info_hash, InfoHash([1; 20]));
    assert_eq!(
        (where_and_when.starts_at, where_and_when.ends_at),
        (at(20), at(20 + 3600))
    );
    assert_eq!(db.tokens_of(ann).await, [used]);
    // Of 40 bytes in 20 seconds half came before it was used; and all of the rest is free.
    db.apply(vec![announce(key, 0, 140, 30)]).await;
    db.apply(vec![announce(key, 0, 1000, 3600)]).await;
    assert_eq!(db.credited_to(ann).await, counters(0, 120));
}

async fn a_token_is_used_once_by_its_owner(db: Database) {
    let (ann, bob) = (db.rich("ann", 10).await, db.user("bob").await);
    let (one, other) = (db.torrent(1).await, db.torrent(2).await);
    let held = db.hold(ann, None).await.id;
    for token in [held + 1, -1, i64::MAX, i64::MIN] {
        assert_eq!(db.use_token(ann, token, one, 1).await, TokenUse::NotTheirs);
    }
    assert_eq!(db.use_token(bob, held, one, 1).await, TokenUse::NotTheirs);
    assert!(is_done(&db.use_token(ann, held, one, 1).await));
    for torrent in [one, other] {
        assert_eq!(db.use_token(ann, held, torrent, 2).await, TokenUse::Used);
    }
    assert_eq!(db.number("select count(*) from freeleech_tokens").await, 1);
}

async fn a_token_expires_to_the_second(db: Database) {
    let ann = db.rich("ann", 20).await;
    let torrent = db.torrent(1).await;
    let (first, second) = (
        db.hold(ann, Some(100)).await.id,
        db.hold(ann, Some(100)).await.id,
    );
    assert_eq!(
        db.use_token(ann, first, torrent, 100).await,
        TokenUse::Expired
    );
    assert!(is_done(&db.use_token(ann, second, torrent, 99).await));
    // Used in time, it holds for its hour all the same.
    let listed = db.tokens_of(ann).await;
    assert_eq!(listed[0].used.unwrap().ends_at, at(99 + 3600));
    assert_eq!(
        (listed[1].expires_at, listed[1].used),
        (Some(at(100)), None)
    );
}

async fn a_torrent_that_is_free_takes_no_other_token(db: Database) {
    let ann = db.rich("ann", 20).await;
    let torrent = db.torrent(1).await;
    db.token(ann, torrent, 0).await;
    let held = db.hold(ann, None).await.id;
    assert_eq!(
        db.use_token(ann, held, torrent, 3599).await,
        TokenUse::FreeUntil(at(3600))
    );
    assert_eq!(db.tokens_of(ann).await[0].used, None);
    assert!(is_done(&db.use_token(ann, held, torrent, 3600).await));
}

async fn of_many_uses_at_once_one_succeeds(db: Database) {
    let ann = db.rich("ann", 100).await;
    let torrents = [db.torrent(1).await, db.torrent(2).await];
    let all_at_once = async |uses: Vec<(i64, TorrentId)>| {
        let uses: Vec<_> = uses
            .into_iter()
            .map(|(token, torrent)| {
                let db = Database {
                    store: db.store.for_requests(),
                    ..db.clone()
                };
                tokio::spawn(async move { db.use_token(ann, token, torrent, 1).await })
            })
            .collect();
        let mut done = 0;
        for used in uses {
            done += usize::from(is_done(&used.await.unwrap()));
        }
        done
    };
    // One token for two torrents, and then many for one.
    let held = db.hold(ann, None).await.id;
    let one_token = (0..8).map(|number| (held, torrents[number % 2])).collect();
    assert_eq!(all_at_once(one_token).await, 1);
    db.execute("delete from freeleech_tokens").await;
    let mut one_torrent = Vec::new();
    for _ in 0..6 {
        one_torrent.push((db.hold(ann, None).await.id, torrents[0]));
    }
    assert_eq!(all_at_once(one_torrent).await, 1);
    assert_eq!(db.number("select count(*) from freeleech_tokens").await, 1);
    assert_eq!(
        db.number("select count(*) from bought_tokens where starts_at is null")
            .await,
        5
    );
}

async fn tokens_are_listed_newest_first(db: Database) {
    let (ann, bob) = (db.rich("ann", 100).await, db.rich("bob", 100).await);
    let torrent = db.torrent(1).await;
    let first = db.hold(ann, None).await.id;
    db.hold(bob, None).await;
    db.token(ann, torrent, 0).await;
    let page = async |before| {
        let listed = db.store.freeleech_tokens(ann, before, 1).await.unwrap();
        listed.iter().map(|token| token.id).collect::<Vec<_>>()
    };
    let newest = page(i64::MAX).await;
    assert!(newest[0] > first);
    assert_eq!(page(newest[0]).await, [first]);
    assert!(page(first).await.is_empty());
    let listed = db.tokens_of(ann).await;
    assert!(listed[0].used.is_some(), "bought for a torrent");
}
