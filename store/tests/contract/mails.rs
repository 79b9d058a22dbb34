//! What is mailed: to whom, in which order, and until when.

use store::{MailState, NotificationKind, UserChange};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::MemberStatus;

use crate::harness::{Database, NOW};

on_both_databases!(
    what_matters_is_due_until_it_is_marked,
    whoever_waited_longest_comes_first,
    members_without_mail_are_skipped_for_good,
    what_is_too_old_is_given_up,
    a_second_mark_changes_nothing,
);

impl Database {
    async fn mail_member(&self, name: &str) -> UserId {
        let user = self.user(name).await;
        let email = format!("{name}@example.org");
        self.store.set_email(user, Some(&email)).await.unwrap();
        user
    }

    /// Changes their account, and so tells them.
    async fn tell(&self, user: UserId, at: UnixTime) {
        let invites = self.store.user(user).await.unwrap().unwrap().invites + 1;
        let change = UserChange {
            invites: Some(invites),
            ..UserChange::default()
        };
        self.store
            .change_user(user, &change, user, at)
            .await
            .unwrap();
    }

    /// Whose mails are due, in order.
    async fn due(&self) -> Vec<String> {
        let due = self.store.due_mails(100).await.unwrap();
        due.into_iter().map(|mail| mail.username).collect()
    }

    async fn mark_first(&self, state: MailState, at: UnixTime) {
        let due = self.store.due_mails(1).await.unwrap();
        self.store.mark_mail(due[0].id, state, at).await.unwrap();
    }
}

fn at(secs: u32) -> UnixTime {
    UnixTime(NOW.0 + secs)
}

async fn what_matters_is_due_until_it_is_marked(database: Database) {
    let store = &database.store;
    let ann = database.mail_member("ann").await;
    store
        .change_credits(ann, 5, "gift", ann, NOW)
        .await
        .unwrap();
    assert_eq!(store.mails_left().await.unwrap(), 0);
    database.tell(ann, NOW).await;
    let due = store.due_mails(100).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(
        (due[0].user, due[0].username.as_str(), due[0].email.as_str()),
        (ann, "ann", "ann@example.org")
    );
    assert_eq!(
        (due[0].kind, due[0].created_at),
        (NotificationKind::Account, NOW)
    );
    assert_eq!(due[0].message, "your account was changed: invites: 0 to 1");
    assert_eq!(store.mails_left().await.unwrap(), 1);
    database.mark_first(MailState::Sent, at(5)).await;
    assert_eq!(database.due().await, [""; 0]);
    assert_eq!(store.mails_left().await.unwrap(), 0);
    database.tell(ann, NOW).await;
    database.mark_first(MailState::Refused, at(6)).await;
    assert_eq!(store.mails_left().await.unwrap(), 0);
    let sum = "select count(*) from notifications
               where (mail_state, mail_at) in (('sent', 1800000005), ('refused', 1800000006))";
    assert_eq!(database.number(sum).await, 2);
}

async fn whoever_waited_longest_comes_first(database: Database) {
    let ann = database.mail_member("ann").await;
    let bob = database.mail_member("bob").await;
    database.tell(bob, at(1)).await;
    database.tell(ann, NOW).await;
    assert_eq!(database.due().await, ["ann", "bob"]);
    assert_eq!(database.store.due_mails(1).await.unwrap()[0].user, ann);
    database.mark_first(MailState::Due, at(60)).await;
    assert_eq!(database.due().await, ["bob", "ann"]);
    database.mark_first(MailState::Due, at(61)).await;
    assert_eq!(database.due().await, ["ann", "bob"]);
    assert_eq!(database.store.mails_left().await.unwrap(), 2);
}

async fn members_without_mail_are_skipped_for_good(database: Database) {
    let store = &database.store;
    let mut members = Vec::new();
    for name in ["ann", "bob", "cid", "dan"] {
        let member = database.mail_member(name).await;
        assert!(store.user(member).await.unwrap().unwrap().mail);
        database.tell(member, NOW).await;
        members.push(member);
    }
    store.set_mail(members[0], false).await.unwrap();
    assert!(!store.user(members[0]).await.unwrap().unwrap().mail);
    store.set_email(members[1], None).await.unwrap();
    let disabled = store.set_user_status(members[2], MemberStatus::Disabled, NOW);
    disabled.await.unwrap();
    // Not even before they are skipped.
    assert_eq!(database.due().await, ["dan"]);
    assert_eq!(store.skip_mails(2).await.unwrap(), 2);
    assert_eq!(store.skip_mails(2).await.unwrap(), 1);
    assert_eq!(store.skip_mails(2).await.unwrap(), 0);
    store.set_mail(members[0], true).await.unwrap();
    assert_eq!(database.due().await, ["dan"]);
    let unknown = store.set_mail(UserId(99), true).await;
    assert_eq!(unknown.unwrap_err().to_string(), "there is no such user");
}

async fn what_is_too_old_is_given_up(database: Database) {
    let store = &database.store;
    let ann = database.mail_member("ann").await;
    for secs in [0, 1, 2, 3] {
        database.tell(ann, at(secs)).await;
    }
    let expire = async || store.expire_mails(at(2), at(9), 2).await.unwrap();
    assert_eq!((expire().await, expire().await, expire().await), (2, 1, 0));
    let due = store.due_mails(100).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].created_at, at(3));
    let late =
        "select count(*) from notifications where mail_state = 'late' and mail_at = 1800000009";
    assert_eq!(database.number(late).await, 3);
}

async fn a_second_mark_changes_nothing(database: Database) {
    let ann = database.mail_member("ann").await;
    database.tell(ann, NOW).await;
    let id = database.store.due_mails(1).await.unwrap()[0].id;
    // Two processes at once, as one lost its lease: it was sent, whatever the other met with.
    for (state, secs) in [
        (MailState::Sent, 1),
        (MailState::Due, 2),
        (MailState::Refused, 3),
    ] {
        database.store.mark_mail(id, state, at(secs)).await.unwrap();
    }
    let sent =
        "select count(*) from notifications where mail_state = 'sent' and mail_at = 1800000001";
    assert_eq!(database.number(sent).await, 1);
}
