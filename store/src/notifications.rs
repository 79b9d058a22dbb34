//! What members are told: written in the transaction of what it is about.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};

/// Something that a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Row number.
    pub id: i64,
    /// What it is about.
    pub kind: NotificationKind,
    /// For people.
    pub message: String,
    /// When.
    pub created_at: UnixTime,
    /// When they had read it.
    pub read_at: Option<UnixTime>,
}

/// What a member is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationKind {
    /// Somebody gave them credits, or took some.
    Credits,
    /// Their class, role, invites or status was changed.
    Account,
    /// Somebody came by a code of theirs.
    Invite,
    /// They go up a class, or down, or will.
    Class,
    /// Their ratio is too low, or no longer.
    Ratio,
    /// A torrent that they must give back.
    HitAndRun,
    /// A freeleech token of theirs that is about to expire.
    Token,
}

impl NotificationKind {
    /// Whether it matters enough for a mail: what they may do here changes, or will unless they do something.
    pub(crate) fn is_mailed(self) -> bool {
        match self {
            Self::Account | Self::Class | Self::Ratio | Self::HitAndRun => true,
            Self::Credits | Self::Invite | Self::Token => false,
        }
    }
}

pub(crate) const RECORD: &str = "
    insert into notifications (user_id, kind, message, created_at, mail_state, mail_at)
    values ($1, $2, $3, $4, $5, $6)";

/// Tells a member something.
macro_rules! notify {
    ($tx:ident, $user:expr, $kind:expr, $message:expr, $at:expr) => {{
        let (kind, at): (crate::NotificationKind, _) = ($kind, i64::from($at.0));
        sqlx::query(crate::notifications::RECORD)
            .bind(i64::from($user.0))
            .bind(crate::columns::Word::word(kind))
            .bind($message)
            .bind(at)
            .bind(kind.is_mailed().then_some("due"))
            .bind(kind.is_mailed().then_some(at))
            .execute(&mut *$tx)
            .await?;
    }};
}

pub(crate) use notify;

const LIST: &str = "
    select id, kind, message, created_at, read_at
    from notifications
    where user_id = $1
        and id < $2
        and (read_at is null or not $3)
    order by id desc
    limit $4";

const READ: &str = "
    update notifications
    set read_at = $1
    where user_id = $2
        and id <= $3
        and read_at is null";

#[derive(FromRow)]
struct NotificationRow {
    id: i64,
    kind: String,
    message: String,
    created_at: i64,
    read_at: Option<i64>,
}

impl Store {
    /// What a member was told, newest first: before the one of that number, and with `unread` only what they haven't read.
    pub async fn notifications(
        &self,
        user: UserId,
        before: i64,
        unread: bool,
        limit: u32,
    ) -> Result<Vec<Notification>> {
        let rows: Vec<NotificationRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .bind(before)
                .bind(unread)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Notification::try_from).collect()
    }

    /// They have read everything up to the one of that number. Returns how many were new to them.
    pub async fn read_notifications(&self, user: UserId, last: i64, at: UnixTime) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(READ)
                .bind(i64::from(at.0))
                .bind(i64::from(user.0))
                .bind(last)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            kind: NotificationKind::parse(&row.kind)?,
            message: row.message,
            created_at: columns::time(row.created_at, "notifications.created_at")?,
            read_at: columns::maybe_time(row.read_at, "notifications.read_at")?,
        })
    }
}

impl Word for NotificationKind {
    const ALL: &'static [Self] = &[
        Self::Credits,
        Self::Account,
        Self::Invite,
        Self::Class,
        Self::Ratio,
        Self::HitAndRun,
        Self::Token,
    ];
    const COLUMN: &'static str = "notifications.kind";

    fn word(self) -> &'static str {
        match self {
            Self::Credits => "credits",
            Self::Account => "account",
            Self::Invite => "invite",
            Self::Class => "class",
            Self::Ratio => "ratio",
            Self::HitAndRun => "hit_and_run",
            Self::Token => "token",
        }
    }
}
