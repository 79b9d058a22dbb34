//! Opening, migrating, and what is said when that can't be done.

use store::{Store, StoreError};

use crate::harness::{Database, NOW};

on_both_databases!(
    migrating_twice_is_migrating_once,
    a_newer_schema_is_refused,
    an_older_schema_asks_for_a_migration,
    a_row_that_nobody_wrote_is_corrupt,
    what_was_written_is_there_after_opening_again,
    a_closed_store_is_unreachable,
);

async fn migrating_twice_is_migrating_once(db: Database) {
    db.user("ann").await;

    db.store.migrate().await.unwrap();

    db.store.check().await.unwrap();
    assert_eq!(db.store.count_members().await.unwrap(), 1);
}

async fn a_newer_schema_is_refused(db: Database) {
    db.execute(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select 9999, 'from the future', success, checksum, 0 from _sqlx_migrations limit 1",
    )
    .await;

    for refused in [db.store.migrate().await, db.store.check().await] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::NewerSchema {
                    found: 9999,
                    known: 1..
                }
            ),
            "{refused}"
        );
        assert_eq!(refused.to_string().lines().count(), 1);
    }
}

async fn an_older_schema_asks_for_a_migration(db: Database) {
    db.execute("drop table _sqlx_migrations").await;

    let refused = db.store.check().await.unwrap_err();

    assert!(
        matches!(
            refused,
            StoreError::OlderSchema {
                found: 0,
                known: 1..
            }
        ),
        "{refused}"
    );
}

async fn a_row_that_nobody_wrote_is_corrupt(db: Database) {
    db.user("ann").await;
    db.execute("update users set status = 'asleep'").await;

    let refused = db.store.members(None, 10).await.unwrap_err();

    assert!(
        matches!(
            refused,
            StoreError::Corrupt {
                column: "users.status",
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("`asleep`"), "{refused}");
}

async fn what_was_written_is_there_after_opening_again(db: Database) {
    db.user("ann").await;
    db.store.close().await;

    let store = Store::open(&db.url).await.unwrap();

    store.check().await.unwrap();
    assert_eq!(store.count_members().await.unwrap(), 1);
    assert_eq!(store.count_active_sessions(NOW).await.unwrap(), 0);
}

async fn a_closed_store_is_unreachable(db: Database) {
    db.store.close().await;

    let refused = db.store.ping().await.unwrap_err();

    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_wrong_url_is_one_clear_line() {
    for url in [
        "mysql://localhost/purser",
        "purser.db",
        "sqlite::memory:",
        "postgres://u:secret@host:port/db",
    ] {
        let refused = Store::open(url).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::BadUrl(_)),
            "{url}: {refused:?}"
        );
        assert_eq!(refused.to_string().lines().count(), 1);
        assert!(
            !format!("{refused} {refused:?}").contains("secret"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn an_absent_server_is_named_without_its_password() {
    // Bound and let go: nobody listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgres://purser:secret@127.0.0.1:{port}/site");

    let refused = Store::open(&url).await.unwrap_err();

    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused:?}"
    );
    let expected = format!("the database postgres://purser@127.0.0.1:{port}/site can't be used");
    assert!(refused.to_string().starts_with(&expected), "{refused}");
    assert!(
        !format!("{refused} {refused:?}").contains("secret"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/purser.db");

    let refused = Store::open(&format!("sqlite:{}", path.display()))
        .await
        .unwrap_err();

    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("nowhere/purser.db"),
        "{refused}"
    );
}
