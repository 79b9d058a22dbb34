//! What members have and admins change: invites, credits, status and role.

use store::{Change, Changed, NewApiKey, StoreError, UserChange, UserFilter, UserRole};
use tracker_core::ids::UserId;
use tracker_core::registry::MemberStatus;

use crate::harness::{Database, NOW, new_user};

on_both_databases!(
    an_invite_takes_from_the_allowance_and_gives_back_once,
    credits_stop_at_zero_and_their_entries_are_the_balance,
    a_change_of_a_member_reaches_the_trackers_and_a_refused_one_does_not,
    a_prefix_finds_names_in_any_case_and_nothing_else,
    a_login_needs_the_password_that_was_compared,
    a_login_that_is_over_makes_no_api_key,
);

async fn an_invite_takes_from_the_allowance_and_gives_back_once(db: Database) {
    let ann = db.user("ann").await;
    db.execute("update users set invites = 1").await;
    let take = async |code| {
        let taken = db.store.create_invite_from_allowance(code, ann, NOW, None);
        taken.await.unwrap()
    };
    assert!(take("first").await);
    assert!(!take("second").await);

    assert!(db.store.revoke_invite("first", ann, NOW).await.unwrap());
    assert!(!db.store.revoke_invite("first", ann, NOW).await.unwrap());
    let unknown = db.store.revoke_invite("second", ann, NOW).await;

    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
    assert_eq!(db.number("select invites from users").await, 1);
    assert_eq!(db.store.invites(ann, i64::MAX, 10).await.unwrap().len(), 1);
}

async fn credits_stop_at_zero_and_their_entries_are_the_balance(db: Database) {
    let ann = db.user("ann").await;
    let add = async |amount| {
        let added = db.store.change_credits(ann, amount, "test", ann, NOW).await;
        added.unwrap().map(|entry| entry.balance_milli)
    };
    assert_eq!(add(5).await, Some(5));
    assert_eq!(add(-6).await, None);
    assert_eq!(add(-5).await, Some(0));

    let nobody = db.store.change_credits(UserId(99), 1, "test", ann, NOW);
    assert!(matches!(nobody.await, Err(StoreError::NotFound { .. })));
    let entries = db.store.credit_entries(ann, i64::MAX, 10).await.unwrap();
    let amounts: Vec<_> = entries.iter().map(|entry| entry.amount_milli).collect();
    assert_eq!(amounts, [-5, 5]);
    assert_eq!(
        db.number("select count(*) from audit_entries").await,
        2,
        "what was refused isn't in the audit"
    );
}

async fn a_change_of_a_member_reaches_the_trackers_and_a_refused_one_does_not(db: Database) {
    let mut admin = new_user("admin");
    admin.role = UserRole::Admin;
    let admin = db.store.create_user(&admin).await.unwrap();
    let ann = db.user("ann").await;
    let before = db.store.latest_change().await.unwrap();
    let disable = UserChange {
        status: Some(MemberStatus::Disabled),
        ..UserChange::default()
    };
    let change = async |user| db.store.change_user(user, &disable, admin, NOW).await;
    assert!(change(ann).await.unwrap());
    assert!(!change(admin).await.unwrap());
    assert!(matches!(
        change(UserId(99)).await,
        Err(StoreError::NotFound { .. })
    ));

    let changes = db.store.changes_after(before, 10).await.unwrap();
    let what: Vec<_> = changes.iter().map(|Change { what, .. }| *what).collect();
    assert_eq!(what, [Changed::User(ann)]);
    let log = db.store.audit_entries(i64::MAX, 10).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].actor.as_deref(), Some("admin"));
}

async fn a_prefix_finds_names_in_any_case_and_nothing_else(db: Database) {
    for name in ["ann", "Anna", "an_x", "an-y", "bob", "Ännchen"] {
        db.user(name).await;
    }
    let find = async |prefix: &str| {
        let filter = UserFilter {
            name_prefix: Some(prefix.to_owned()),
            ..UserFilter::default()
        };
        let found = db.store.find_users(&filter, 0, 10).await.unwrap();
        found
            .into_iter()
            .map(|user| user.username)
            .collect::<Vec<_>>()
    };
    assert_eq!(find("ANN").await, ["ann", "Anna"]);
    assert_eq!(find("an_").await, ["an_x"]);
    assert_eq!(find("ä").await, ["Ännchen"]);
    assert_eq!(find("%").await, [""; 0]);
}

/// Who knew the old one may have had it compared before it was changed, and log in after.
async fn a_login_needs_the_password_that_was_compared(db: Database) {
    let ann = db.user("ann").await;
    let log_in = async |hash| {
        let login = db.store.create_login(ann, hash, NOW, NOW).await;
        login.unwrap().is_some()
    };
    assert!(!log_in("old").await);
    db.store.set_password(ann, "old", NOW).await.unwrap();
    assert!(log_in("old").await);
    db.store.set_password(ann, "new", NOW).await.unwrap();
    assert!(!log_in("old").await);
    let open = "select count(*) from logins where revoked_at is null";
    assert_eq!(db.number(open).await, 0);
    assert!(log_in("new").await);
    let disabled = MemberStatus::Disabled;
    db.store.set_user_status(ann, disabled, NOW).await.unwrap();
    assert!(!log_in("new").await);
}

/// Who stole a login may ask for a key at the moment in which it ends.
async fn a_login_that_is_over_makes_no_api_key(db: Database) {
    let ann = db.user("ann").await;
    db.store.set_password(ann, "old", NOW).await.unwrap();
    let login = db.store.create_login(ann, "old", NOW, NOW).await;
    let new = NewApiKey {
        user: ann,
        login: login.unwrap().unwrap(),
        label: String::new(),
        digest: [0; 32],
        scopes: "read".to_owned(),
        created_at: NOW,
        expires_at: None,
    };
    let first = db.store.create_api_key(&new, 1).await.unwrap();
    assert!(first.is_some());
    assert_eq!(db.store.create_api_key(&new, 1).await.unwrap(), None);
    db.store.set_password(ann, "new", NOW).await.unwrap();
    let late = db.store.create_api_key(&new, 1).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "login" })));
    assert_eq!(db.store.api_keys(ann).await.unwrap(), []);
}
