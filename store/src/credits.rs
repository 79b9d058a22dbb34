//! Credits: entries that are never changed, and a balance that is their sum.

use economy::milli::Milli;
use sqlx::FromRow;
use tracker_core::ids::{InfoHash, UnixTime, UserId};

use crate::Store;
use crate::audit::record_audit;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::notifications::{NotificationKind, notify};
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};

/// Why a balance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreditKind {
    /// An admin gave it.
    Grant,
    /// An admin took it.
    Penalty,
    /// For traffic that counted.
    Upload,
    /// For traffic that counted.
    Download,
    /// For keeping torrents alive.
    Seeding,
    /// They bought something.
    Purchase,
    /// One member gave it to another.
    Gift,
}

/// One change of a member's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditEntry {
    /// Row number.
    pub id: i64,
    /// Why.
    pub kind: CreditKind,
    /// In thousandths; below zero when it was taken.
    pub amount_milli: i64,
    /// The balance after it.
    pub balance_milli: i64,
    /// The torrent it is for, where it is for one.
    pub torrent: Option<InfoHash>,
    /// For people.
    pub note: String,
    /// When.
    pub created_at: UnixTime,
}

/// The highest balance: far from where 64 bits end, so that no sum of a balance and an amount gets there.
pub(crate) const BALANCE_MAX: i64 = 1_000_000_000_000_000_000;

/// Locks the member's row until the transaction ends, so that the balance after an entry is the one before it and the
/// amount, whoever else comes at the same time. What would take a balance below zero, or beyond its highest, does nothing.
const ADD: &str = "
    update users
    set credits_milli = credits_milli + $1
    where id = $2
        and credits_milli <= $3 - $1
        and ($1 > 0 or credits_milli + $1 >= 0)
    returning credits_milli";

const RECORD: &str = "
    insert into credit_entries (user_id, kind, amount_milli, balance_milli, actor_id, note, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning id";

const USER_EXISTS: &str = "
    select count(*)
    from users
    where id = $1";

const LIST: &str = "
    select credit_entries.id, credit_entries.kind, credit_entries.amount_milli, credit_entries.balance_milli,
        torrents.info_hash, credit_entries.note, credit_entries.created_at
    from credit_entries
    left join torrents on torrents.id = credit_entries.torrent_id
    where credit_entries.user_id = $1
        and credit_entries.id < $2
    order by credit_entries.id desc
    limit $3";

#[derive(FromRow)]
struct EntryRow {
    id: i64,
    kind: String,
    amount_milli: i64,
    balance_milli: i64,
    info_hash: Option<Vec<u8>>,
    note: String,
    created_at: i64,
}

impl Store {
    /// Gives a member credits, or takes some: a grant or a penalty, by an admin. `None`: the balance would be below
    /// zero, or beyond 10^18.
    pub async fn change_credits(
        &self,
        user: UserId,
        amount_milli: i64,
        note: &str,
        actor: UserId,
        at: UnixTime,
    ) -> Result<Option<CreditEntry>> {
        let kind = match amount_milli {
            ..0 => CreditKind::Penalty,
            _ => CreditKind::Grant,
        };
        in_transaction!(self, |tx| {
            let balance: Option<(i64,)> = sqlx::query_as(ADD)
                .bind(amount_milli)
                .bind(i64::from(user.0))
                .bind(BALANCE_MAX)
                .fetch_optional(&mut *tx)
                .await?;
            let Some((balance_milli,)) = balance else {
                let users: i64 = sqlx::query_scalar(USER_EXISTS)
                    .bind(i64::from(user.0))
                    .fetch_one(&mut *tx)
                    .await?;
                return match users {
                    0 => Err(StoreError::NotFound { what: "user" }),
                    _ => Ok(None),
                };
            };
            let id: i64 = sqlx::query_scalar(RECORD)
                .bind(i64::from(user.0))
                .bind(kind.word())
                .bind(amount_milli)
                .bind(balance_milli)
                .bind(i64::from(actor.0))
                .bind(note)
                .bind(i64::from(at.0))
                .fetch_one(&mut *tx)
                .await?;
            let subject = format!("user:{}", user.0);
            let detail = format!("{amount_milli:+} thousandths of a credit: {note}");
            record_audit!(tx, actor, "user.credits", subject, detail, at);
            let message = match amount_milli {
                ..0 => format!(
                    "{} credits were taken from you: {note}",
                    Milli(amount_milli.unsigned_abs())
                ),
                _ => format!(
                    "you were given {} credits: {note}",
                    Milli(amount_milli.unsigned_abs())
                ),
            };
            notify!(tx, user, NotificationKind::Credits, message, at);
            Some(CreditEntry {
                id,
                kind,
                amount_milli,
                balance_milli,
                torrent: None,
                note: note.to_owned(),
                created_at: at,
            })
        })
    }

    /// The changes of a member's balance, newest first: those before the one of that number.
    pub async fn credit_entries(
        &self,
        user: UserId,
        before: i64,
        limit: u32,
    ) -> Result<Vec<CreditEntry>> {
        let rows: Vec<EntryRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(CreditEntry::try_from).collect()
    }
}

impl TryFrom<EntryRow> for CreditEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self> {
        let torrent = columns::maybe_array(row.info_hash, "torrents.info_hash")?;
        Ok(Self {
            id: row.id,
            kind: CreditKind::parse(&row.kind)?,
            amount_milli: row.amount_milli,
            balance_milli: row.balance_milli,
            torrent: torrent.map(InfoHash),
            note: row.note,
            created_at: columns::time(row.created_at, "credit_entries.created_at")?,
        })
    }
}

impl Word for CreditKind {
    const ALL: &'static [Self] = &[
        Self::Grant,
        Self::Penalty,
        Self::Upload,
        Self::Download,
        Self::Seeding,
        Self::Purchase,
        Self::Gift,
    ];
    const COLUMN: &'static str = "credit_entries.kind";

    fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Penalty => "penalty",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Seeding => "seeding",
            Self::Purchase => "purchase",
            Self::Gift => "gift",
        }
    }
}
