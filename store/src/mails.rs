//! Notifications that are mailed: which are due, and what became of each.
//!
//! A mail is marked once a mail server has taken it: whoever dies in between sends it again, and none is lost.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::notifications::NotificationKind;
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};

/// A notification that a member is to have by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueMail {
    /// The notification's.
    pub id: i64,
    /// Whose.
    pub user: UserId,
    /// Their name.
    pub username: String,
    /// Where it goes, as they wrote it.
    pub email: String,
    /// What it is about.
    pub kind: NotificationKind,
    /// For people.
    pub message: String,
    /// When they were told.
    pub created_at: UnixTime,
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// A mail server took it.
    Sent,
    /// None will ever take it.
    Refused,
    /// None did so far: it is tried again, after those that were tried before it.
    Due,
}

/// Of members who can have none, or want none: they don't get it later either.
const SKIP: &str = "
    update notifications
    set mail_state = null, mail_at = null
    where id in (
            select notifications.id
            from notifications
            join users on users.id = notifications.user_id
            where mail_state = 'due'
                and (users.status <> 'active' or users.email is null or not users.mail)
            limit $1)
        and mail_state = 'due'";

const EXPIRE: &str = "
    update notifications
    set mail_state = 'late', mail_at = $1
    where id in (
            select id
            from notifications
            where mail_state = 'due' and created_at <= $2
            limit $3)
        and mail_state = 'due'";

const DUE: &str = "
    select notifications.id, user_id, username, email, kind, message, notifications.created_at
    from notifications
    join users on users.id = notifications.user_id
    where mail_state = 'due'
        and users.status = 'active'
        and users.email is not null
        and users.mail
    order by mail_at, notifications.id
    limit $1";

const LEFT: &str = "
    select count(*)
    from notifications
    where mail_state = 'due'";

const MARK: &str = "
    update notifications
    set mail_state = $1, mail_at = $2
    where id = $3 and mail_state = 'due'";

#[derive(FromRow)]
struct DueRow {
    id: i64,
    user_id: i64,
    username: String,
    email: String,
    kind: String,
    message: String,
    created_at: i64,
}

impl Store {
    /// Notifications that are to be mailed: who has waited longest since they were told, or since the last try.
    pub async fn due_mails(&self, limit: u32) -> Result<Vec<DueMail>> {
        let rows: Vec<DueRow> = reading!(self, |pool| {
            sqlx::query_as(DUE)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(DueMail::try_from).collect()
    }

    /// How many are due.
    pub async fn mails_left(&self) -> Result<u64> {
        let left: i64 = reading!(self, |pool| sqlx::query_scalar(LEFT).fetch_one(pool).await)?;
        columns::count(left, "notifications")
    }

    /// A mail has come to a state. One that isn't due any more stays as it is: another process was at it.
    pub async fn mark_mail(&self, id: i64, state: MailState, at: UnixTime) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(MARK)
                .bind(state.word())
                .bind(i64::from(at.0))
                .bind(id)
                .execute(&mut *tx)
                .await?;
        })
    }

    /// Mails no longer what is due to members who are disabled, have no address, or turned mail off. Returns how many it
    /// was, of so many rows at most.
    pub async fn skip_mails(&self, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(SKIP)
                .bind(i64::from(rows))
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }

    /// Gives up what members were told at a moment or before, and no mail server has taken. Returns how many it was, of so
    /// many rows at most.
    pub async fn expire_mails(&self, before: UnixTime, now: UnixTime, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(EXPIRE)
                .bind(i64::from(now.0))
                .bind(i64::from(before.0))
                .bind(i64::from(rows))
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }
}

impl TryFrom<DueRow> for DueMail {
    type Error = StoreError;

    fn try_from(row: DueRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            user: UserId(columns::id(row.user_id, "notifications.user_id")?),
            username: row.username,
            email: row.email,
            kind: NotificationKind::parse(&row.kind)?,
            message: row.message,
            created_at: columns::time(row.created_at, "notifications.created_at")?,
        })
    }
}

impl MailState {
    fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Due => "due",
        }
    }
}
