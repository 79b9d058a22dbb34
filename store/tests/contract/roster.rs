//! What a tracker loads: whole, in order, a page at a time. Each test asks for one page more than there are.

use store::NewToken;
use tracker_core::accounting::Baseline;
use tracker_core::ids::{InfoHash, TokenId, UnixTime};
use tracker_core::record::Role;
use tracker_core::registry::RevokedToken;

use crate::harness::{Database, NOW, change, counters, key, new_user};

on_both_databases!(
    members_come_in_pages,
    torrents_come_in_pages,
    expired_revocations_are_forgotten,
    sessions_come_in_pages,
    sessions_that_left_or_fell_silent_stay_behind,
    a_retired_session_keeps_its_baseline,
);

async fn members_come_in_pages(db: Database) {
    let mut expected = Vec::new();
    for name in ["ann", "bob", "carol", "dave", "eve"] {
        let mut new = new_user(name);
        new.passkey = Some([name.len() as u8 * 16 + expected.len() as u8; 16]);
        expected.push((db.store.create_user(&new).await.unwrap(), new.passkey));
    }

    let mut loaded = Vec::new();
    for _ in 0..4 {
        let page = db
            .store
            .members(loaded.last().map(|&(id, _)| id), 2)
            .await
            .unwrap();
        assert!(page.len() <= 2);
        loaded.extend(page.into_iter().map(|member| (member.id, member.passkey)));
    }

    assert_eq!(loaded, expected);
    assert_eq!(db.store.count_members().await.unwrap(), 5);
}

async fn torrents_come_in_pages(db: Database) {
    let mut expected = Vec::new();
    for byte in 1..=5 {
        expected.push((db.torrent(byte).await, InfoHash([byte; 20])));
    }

    let mut loaded = Vec::new();
    for _ in 0..3 {
        let page = db
            .store
            .torrents(loaded.last().map(|&(id, _)| id), 3)
            .await
            .unwrap();
        loaded.extend(
            page.into_iter()
                .map(|torrent| (torrent.id, torrent.info_hash)),
        );
    }

    assert_eq!(loaded, expected);
    assert_eq!(db.store.count_torrents().await.unwrap(), 5);
}

async fn expired_revocations_are_forgotten(db: Database) {
    let user = db.user("ann").await;
    let later = UnixTime(NOW.0 + 1);
    let mut tokens = Vec::new();
    for expires_at in [None, Some(NOW), Some(later), None] {
        let new = NewToken {
            user,
            label: String::new(),
            torrent: None,
            created_at: NOW,
            expires_at,
        };
        let id = db.store.create_token(&new).await.unwrap();
        db.store.revoke_token(id, NOW).await.unwrap();
        tokens.push(RevokedToken { id, expires_at });
    }
    let valid = NewToken {
        user,
        label: String::new(),
        torrent: None,
        created_at: NOW,
        expires_at: None,
    };
    let valid: TokenId = db.store.create_token(&valid).await.unwrap();

    let first = db.store.revoked_tokens(NOW, None, 2).await.unwrap();
    let rest = db
        .store
        .revoked_tokens(NOW, Some(first[1].id), 2)
        .await
        .unwrap();

    assert_eq!(first, [tokens[0], tokens[2]]);
    assert_eq!(rest, [tokens[3]]);
    assert_eq!(db.store.token_revocation(valid).await.unwrap(), None);
}

async fn sessions_come_in_pages(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let (one, two) = (db.torrent(1).await, db.torrent(2).await);
    let mut keys = Vec::new();
    for user in [ann, bob] {
        for torrent in [one, two] {
            // 128 and up: a peer id is bytes, and compared as such.
            keys.extend([1, 127, 128, 255].map(|peer| key(user, torrent, peer)));
        }
    }
    let sessions = keys
        .iter()
        .map(|&key| change(key, &[counters(4, 2)]))
        .collect();
    db.apply(sessions).await;

    let mut loaded = Vec::new();
    for _ in 0..7 {
        let page = db
            .store
            .active_sessions(NOW, loaded.last(), 3)
            .await
            .unwrap();
        loaded.extend(page.into_iter().map(|session| session.key));
    }

    assert_eq!(loaded, keys);
    assert_eq!(db.store.count_active_sessions(NOW).await.unwrap(), 16);
}

async fn sessions_that_left_or_fell_silent_stay_behind(db: Database) {
    let (ann, torrent) = (db.user("ann").await, db.torrent(1).await);
    let reports = [counters(4, 2)];
    let mut here = change(key(ann, torrent, 1), &reports);
    here.role = Role::Partial;
    here.endpoint6 = Some([6; 18]);
    let mut left = change(key(ann, torrent, 2), &reports);
    left.active = false;
    let mut silent = change(key(ann, torrent, 3), &reports);
    silent.announced_at = UnixTime(NOW.0 - 1);
    db.apply(vec![here.clone(), left, silent]).await;

    let loaded = db.store.active_sessions(NOW, None, 10).await.unwrap();

    assert_eq!(loaded.len(), 1);
    assert_eq!((loaded[0].key, loaded[0].role), (here.key, Role::Partial));
    assert_eq!(loaded[0].baseline, Baseline::starting_at(counters(4, 2)));
    assert_eq!(
        (loaded[0].endpoint4, loaded[0].endpoint6),
        (here.endpoint4, here.endpoint6)
    );
    assert_eq!(loaded[0].announced_at, NOW);
    assert_eq!(db.store.count_active_sessions(NOW).await.unwrap(), 1);
}

async fn a_retired_session_keeps_its_baseline(db: Database) {
    let (ann, torrent) = (db.user("ann").await, db.torrent(1).await);
    let session = change(key(ann, torrent, 1), &[counters(100, 0)]);
    db.apply(vec![session.clone()]).await;

    assert_eq!(db.store.retire_sessions(NOW).await.unwrap(), 0);
    assert_eq!(
        db.store.retire_sessions(UnixTime(NOW.0 + 1)).await.unwrap(),
        1
    );
    assert_eq!(
        db.store
            .active_sessions(UnixTime(0), None, 10)
            .await
            .unwrap(),
        []
    );

    let returns = change(session.key, &[counters(130, 0)]);
    let applied = db.apply(vec![returns]).await;
    assert_eq!(applied.growth, counters(30, 0));
    assert_eq!(db.store.count_active_sessions(NOW).await.unwrap(), 1);
}
