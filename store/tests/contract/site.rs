//! What the site writes: members, tokens, invites, torrents.

use store::{Changed, NewToken, StoreError, UserRole};
use tracker_core::accounting::Counters;
use tracker_core::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::registry::{MemberStatus, RevokedToken, TorrentStatus};

use crate::harness::{Database, NOW, new_torrent, new_user};

on_both_databases!(
    the_first_token_key_is_the_sites,
    a_user_is_found_whatever_the_case,
    a_username_an_email_and_a_passkey_are_taken_once,
    a_new_password_and_role_replace_the_old,
    a_disabled_user_is_a_change,
    what_does_not_exist_is_not_found,
    a_token_is_revoked_once,
    invites_are_created_all_or_none,
    a_torrent_comes_with_its_files_and_its_metainfo,
    a_torrent_with_thousands_of_files_is_kept_whole,
    a_hash_is_taken_in_either_column,
    a_hybrid_is_found_by_both_hashes,
    a_closed_torrent_is_a_change,
    a_refused_write_leaves_no_change,
);

async fn a_user_is_found_whatever_the_case(db: Database) {
    let mut new = new_user("Ännchen");
    new.email = Some("Ann@example.org".to_owned());
    new.passkey = Some([7; 16]);
    new.role = UserRole::Staff;
    let id = db.store.create_user(&new).await.unwrap();

    let found = db.store.find_user("äNNCHEN").await.unwrap().unwrap();

    assert_eq!((found.id, found.username.as_str()), (id, "Ännchen"));
    assert_eq!(found.email.as_deref(), Some("Ann@example.org"));
    assert_eq!(
        (found.role, found.class.name()),
        (UserRole::Staff, "newbie")
    );
    assert_eq!(
        (found.status, found.passkey),
        (MemberStatus::Active, Some([7; 16]))
    );
    assert_eq!((found.password_hash, found.created_at), (None, NOW));
    assert_eq!(db.store.find_user("somebody else").await.unwrap(), None);
    assert_eq!(db.store.totals(id).await.unwrap(), Counters::default());
}

async fn a_username_an_email_and_a_passkey_are_taken_once(db: Database) {
    let mut ann = new_user("ann");
    ann.email = Some("ann@example.org".to_owned());
    ann.passkey = Some([1; 16]);
    db.store.create_user(&ann).await.unwrap();

    let same_name = new_user("ANN");
    let mut same_email = new_user("bob");
    same_email.email = Some("ANN@example.org".to_owned());
    let mut same_passkey = new_user("carol");
    same_passkey.passkey = Some([1; 16]);

    for (new, expected) in [
        (same_name, "username"),
        (same_email, "email address"),
        (same_passkey, "passkey"),
    ] {
        let refused = db.store.create_user(&new).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Duplicate { what } if what == expected),
            "{expected}: {refused}"
        );
    }
    assert_eq!(db.store.count_members().await.unwrap(), 1);
}

async fn a_new_password_and_role_replace_the_old(db: Database) {
    let id = db.user("ann").await;
    assert!(!db.store.has_admin().await.unwrap());

    db.store
        .set_password_and_role(id, "$argon2id$…", UserRole::Admin, NOW)
        .await
        .unwrap();

    let found = db.store.find_user("ann").await.unwrap().unwrap();
    assert_eq!(found.password_hash.as_deref(), Some("$argon2id$…"));
    assert_eq!(found.role, UserRole::Admin);
    assert!(db.store.has_admin().await.unwrap());
}

async fn a_disabled_user_is_a_change(db: Database) {
    let id = db.user("ann").await;
    let mark = db.store.latest_change().await.unwrap();

    db.store
        .set_user_status(id, MemberStatus::Disabled, NOW)
        .await
        .unwrap();

    assert_eq!(
        db.store.member(id).await.unwrap().unwrap().status,
        MemberStatus::Disabled
    );
    let changes = db.store.changes_after(mark, 10).await.unwrap();
    assert_eq!(
        changes.iter().map(|change| change.what).collect::<Vec<_>>(),
        [Changed::User(id)]
    );
}

async fn what_does_not_exist_is_not_found(db: Database) {
    let (user, torrent, token) = (UserId(7), TorrentId(7), TokenId(7));
    let store = &db.store;
    let refusals = [
        store
            .set_password_and_role(user, "", UserRole::Member, NOW)
            .await
            .unwrap_err(),
        store
            .set_user_status(user, MemberStatus::Active, NOW)
            .await
            .unwrap_err(),
        store.totals(user).await.unwrap_err(),
        store
            .set_torrent_status(torrent, TorrentStatus::Open, NOW)
            .await
            .unwrap_err(),
        store.revoke_token(token, NOW).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, StoreError::NotFound { .. }), "{refusal}");
    }
    assert_eq!(store.member(user).await.unwrap(), None);
    assert_eq!(store.torrent(torrent).await.unwrap(), None);
    assert_eq!(store.token_revocation(token).await.unwrap(), None);
    assert_eq!(store.find_torrent(&InfoHash([7; 20])).await.unwrap(), None);
}

async fn a_token_is_revoked_once(db: Database) {
    let token = NewToken {
        user: db.user("ann").await,
        label: "seedbox".to_owned(),
        torrent: Some(db.torrent(1).await),
        created_at: NOW,
        expires_at: Some(UnixTime(NOW.0 + 60)),
    };
    let id = db.store.create_token(&token).await.unwrap();
    let mark = db.store.latest_change().await.unwrap();
    assert_eq!(db.store.token_revocation(id).await.unwrap(), None);

    db.store.revoke_token(id, NOW).await.unwrap();
    db.store
        .revoke_token(id, UnixTime(NOW.0 + 9))
        .await
        .unwrap();

    let revoked = RevokedToken {
        id,
        expires_at: token.expires_at,
    };
    assert_eq!(db.store.token_revocation(id).await.unwrap(), Some(revoked));
    assert_eq!(
        db.number("select revoked_at from tokens").await,
        i64::from(NOW.0)
    );
    let changes = db.store.changes_after(mark, 10).await.unwrap();
    assert!(
        changes
            .iter()
            .all(|change| change.what == Changed::Token(id)),
        "{changes:?}"
    );
    assert_eq!(changes.len(), 2);
}

async fn invites_are_created_all_or_none(db: Database) {
    let ann = db.user("ann").await;
    let codes = ["a", "b"].map(str::to_owned);
    db.store
        .create_invites(&codes, Some(ann), NOW)
        .await
        .unwrap();

    let again = ["c", "b"].map(str::to_owned);
    let refused = db
        .store
        .create_invites(&again, None, NOW)
        .await
        .unwrap_err();

    assert!(
        matches!(
            refused,
            StoreError::Duplicate {
                what: "invite code"
            }
        ),
        "{refused}"
    );
    assert_eq!(db.number("select count(*) from invites").await, 2);
}

async fn a_torrent_comes_with_its_files_and_its_metainfo(db: Database) {
    let mut new = new_torrent(1);
    new.uploader = Some(db.user("ann").await);
    new.status = TorrentStatus::Pending;
    let mark = db.store.latest_change().await.unwrap();
    let id = db.store.add_torrent(&new).await.unwrap();

    let stored = db.store.torrent(id).await.unwrap().unwrap();

    assert_eq!(
        (stored.id, stored.info_hash, stored.info_hash_v2),
        (id, InfoHash([1; 20]), None)
    );
    assert_eq!(
        (stored.status, stored.completed),
        (TorrentStatus::Pending, 0)
    );
    assert_eq!(db.number("select file_count from torrents").await, 2);
    assert_eq!(
        db.number("select length from torrent_files where path = 'folder/ü.txt' and position = 1")
            .await,
        20
    );
    assert_eq!(
        db.number("select cast(length(file) as bigint) from torrent_metainfo")
            .await,
        3
    );
    let changes = db.store.changes_after(mark, 10).await.unwrap();
    assert_eq!(
        changes.iter().map(|change| change.what).collect::<Vec<_>>(),
        [Changed::Torrent(id)]
    );
}

async fn a_torrent_with_thousands_of_files_is_kept_whole(db: Database) {
    let mut new = new_torrent(1);
    let file = new.files.remove(0);
    new.files = vec![file; 3_000];

    db.store.add_torrent(&new).await.unwrap();

    assert_eq!(db.number("select count(*) from torrent_files").await, 3_000);
    assert_eq!(
        db.number("select max(position) from torrent_files").await,
        2_999
    );
}

async fn a_hash_is_taken_in_either_column(db: Database) {
    let mut hybrid = new_torrent(1);
    hybrid.info_hash_v2 = Some(InfoHash([2; 20]));
    db.store.add_torrent(&hybrid).await.unwrap();

    // As v1: taken as v1, taken as v2. As v2: the same.
    let mut v2_is_v1 = new_torrent(3);
    v2_is_v1.info_hash_v2 = Some(InfoHash([1; 20]));
    let mut v2_is_v2 = new_torrent(3);
    v2_is_v2.info_hash_v2 = Some(InfoHash([2; 20]));

    for new in [new_torrent(1), new_torrent(2), v2_is_v1, v2_is_v2] {
        let refused = db.store.add_torrent(&new).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Duplicate { what: "info hash" }),
            "{refused}"
        );
    }
    assert_eq!(db.store.count_torrents().await.unwrap(), 1);
}

async fn a_hybrid_is_found_by_both_hashes(db: Database) {
    let mut hybrid = new_torrent(1);
    hybrid.info_hash_v2 = Some(InfoHash([2; 20]));
    let id = db.store.add_torrent(&hybrid).await.unwrap();
    db.torrent(3).await;

    for byte in [1, 2] {
        let found = db
            .store
            .find_torrent(&InfoHash([byte; 20]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.id, found.info_hash_v2), (id, hybrid.info_hash_v2));
    }
}

async fn a_closed_torrent_is_a_change(db: Database) {
    let id = db.torrent(1).await;
    let mark = db.store.latest_change().await.unwrap();

    db.store
        .set_torrent_status(id, TorrentStatus::Closed, NOW)
        .await
        .unwrap();

    assert_eq!(
        db.store.torrent(id).await.unwrap().unwrap().status,
        TorrentStatus::Closed
    );
    let changes = db.store.changes_after(mark, 10).await.unwrap();
    assert_eq!(
        changes.iter().map(|change| change.what).collect::<Vec<_>>(),
        [Changed::Torrent(id)]
    );
}

async fn a_refused_write_leaves_no_change(db: Database) {
    db.user("ann").await;
    db.torrent(1).await;
    let mark = db.store.latest_change().await.unwrap();

    db.store.create_user(&new_user("ann")).await.unwrap_err();
    db.store.add_torrent(&new_torrent(1)).await.unwrap_err();
    db.store.revoke_token(TokenId(7), NOW).await.unwrap_err();

    assert_eq!(db.store.latest_change().await.unwrap(), mark);
    assert_eq!(db.store.changes_after(mark, 10).await.unwrap(), []);
}

async fn the_first_token_key_is_the_sites(db: Database) {
    assert_eq!(
        db.store.pin_token_key(u64::MAX - 6).await.unwrap(),
        u64::MAX - 6
    );
    assert_eq!(db.store.pin_token_key(8).await.unwrap(), u64::MAX - 6);
}
