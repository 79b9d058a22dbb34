//! What credit buys, and what members give each other. Balance, entry and what one gets change in one transaction, and
//! nothing changes that one hasn't paid for.

use economy::milli::Milli;
use economy::shop::{Item, NoDeal, Ware};
use sqlx::FromRow;
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::registry::MemberStatus;

use crate::Store;
use crate::columns::{Word, bigint};
use crate::credits::{BALANCE_MAX, CreditEntry, CreditKind};
use crate::error::Result;
use crate::freeleech::{ADD, FreeleechToken, UsedToken, free_torrent};
use crate::notifications::{NotificationKind, notify};
use crate::store::in_transaction;

/// Something to buy.
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
    /// By whom.
    pub user: UserId,
    /// What.
    pub item: &'a Item,
    /// For which torrent, if it is for one. A freeleech token is held where there is none.
    pub torrent: Option<(TorrentId, InfoHash)>,
    /// From when on a freeleech token can't be used any more; `None`: it can for ever.
    pub token_expires_at: Option<UnixTime>,
    /// When.
    pub at: UnixTime,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bought {
    /// It is theirs.
    Done {
        /// What they paid.
        entry: CreditEntry,
        /// What they got, if it is one.
        token: Option<FreeleechToken>,
    },
    /// They can't pay for it.
    NoDeal(NoDeal),
    /// They have as many of it as anybody can have.
    Full,
    /// A token of theirs for this torrent ends then, and another would be for nothing.
    FreeUntil(UnixTime),
    /// They have no snatch of this torrent that isn't settled.
    NothingToSettle,
    /// The item is for a torrent alone, and none was named.
    NoTorrent,
}

/// A gift to be.
#[derive(Clone, Copy, Debug)]
pub struct Gift<'a> {
    /// Who gives: number and name.
    pub from: (UserId, &'a str),
    /// Who gets it.
    pub to: (UserId, &'a str),
    /// More than nothing.
    pub amount_milli: i64,
    /// The taker reads it. May be empty.
    pub note: &'a str,
    /// When.
    pub at: UnixTime,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The giver's entry.
    Done(CreditEntry),
    /// It can't be paid, or not be taken.
    NoDeal(NoDeal),
    /// There is nobody to take it: they are disabled, or the giver.
    NoTaker,
}

/// More than anybody gives out, and far from where the column's numbers end.
const INVITES_MAX: i64 = 1_000_000_000;

/// Takes the price and gives what stands in the member's row, if the balance has it: of two who pay with the same credits
/// at once, the second finds too few.
const PAY: &str = "
    update users
    set credits_milli = credits_milli - $1,
        invites = invites + $2,
        credited_uploaded = credited_uploaded + case
            when credited_uploaded > 9223372036854775807 - $3 then 9223372036854775807 - credited_uploaded
            else $3
        end
    where id = $4
        and credits_milli >= $1
        and invites + $2 <= $5
    returning credits_milli";

const RECEIVE: &str = "
    update users
    set credits_milli = credits_milli + $1
    where id = $2
        and credits_milli <= $3 - $1
    returning credits_milli";

/// Keeps the row until the transaction ends: what is refused is refused for what it has now. Changes nothing.
pub(crate) const LOCK_ACCOUNT: &str = "
    update users
    set credits_milli = credits_milli
    where id = $1
    returning credits_milli, status";

const RECORD: &str = "
    insert into credit_entries (user_id, kind, amount_milli, balance_milli, torrent_id, actor_id, note, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    returning id";

const SETTLE: &str = "
    update snatches
    set settled_at = $1
    where user_id = $2
        and torrent_id = $3
        and settled_at is null";

#[derive(FromRow)]
pub(crate) struct AccountRow {
    credits_milli: i64,
    status: String,
}

/// Takes the price from a member; the balance afterwards, or `None`.
macro_rules! pay {
    ($tx:ident, $user:expr, $price:expr, $invites:expr, $uploaded:expr) => {
        sqlx::query_scalar::<_, i64>(PAY)
            .bind($price)
            .bind($invites)
            .bind($uploaded)
            .bind(i64::from($user.0))
            .bind(INVITES_MAX)
            .fetch_optional(&mut *$tx)
            .await?
    };
}

macro_rules! record {
    ($tx:ident, $user:expr, $entry:expr, $torrent:expr, $actor:expr) => {
        sqlx::query_scalar::<_, i64>(RECORD)
            .bind(i64::from($user.0))
            .bind($entry.kind.word())
            .bind($entry.amount_milli)
            .bind($entry.balance_milli)
            .bind($torrent)
            .bind($actor)
            .bind(&$entry.note)
            .bind(i64::from($entry.created_at.0))
            .fetch_one(&mut *$tx)
            .await?
    };
}

/// A member's balance and status, which stay so until the end.
macro_rules! lock_account {
    ($tx:ident, $user:expr) => {{
        let row: Option<crate::shop::AccountRow> = sqlx::query_as(crate::shop::LOCK_ACCOUNT)
            .bind(i64::from($user.0))
            .fetch_optional(&mut *$tx)
            .await?;
        row.ok_or(crate::StoreError::NotFound { what: "user" })?
    }};
}

pub(crate) use lock_account;

impl Store {
    /// Buys something. A snatch is locked before its member, as the ledger does.
    pub async fn buy(&self, purchase: &Purchase<'_>) -> Result<Bought> {
        let Purchase {
            user,
            item,
            torrent,
            token_expires_at,
            at,
        } = *purchase;
        let price = i64::from(item.price_milli);
        let torrent_id = torrent.map(|(torrent, _)| i64::from(torrent.0));
        let (invites, uploaded) = match item.what {
            Ware::Invite => (1_i64, 0_i64),
            Ware::UploadCredit { bytes } => (0, bigint(bytes)),
            Ware::FreeleechToken { .. } | Ware::SettleHitAndRun => (0, 0),
        };
        let mut token = None;
        in_transaction!(self, |tx| {
            if item.what == Ware::SettleHitAndRun {
                let Some(torrent_id) = torrent_id else {
                    return Ok(Bought::NoTorrent);
                };
                let settled = sqlx::query(SETTLE)
                    .bind(i64::from(at.0))
                    .bind(i64::from(user.0))
                    .bind(torrent_id)
                    .execute(&mut *tx)
                    .await?;
                if settled.rows_affected() == 0 {
                    return Ok(Bought::NothingToSettle);
                }
            }
            let account = lock_account!(tx, user);
            if let Err(why) = economy::shop::buy(account.credits_milli, item) {
                return Ok(Bought::NoDeal(why));
            }
            let Some(balance_milli) = pay!(tx, user, price, invites, uploaded) else {
                return Ok(Bought::Full);
            };
            if let Ware::FreeleechToken { hours } = item.what {
                let mut bought = FreeleechToken {
                    id: 0,
                    hours,
                    bought_at: at,
                    expires_at: token_expires_at,
                    used: None,
                };
                if let Some((torrent, info_hash)) = torrent {
                    match free_torrent!(tx, user, i64::from(torrent.0), hours, at) {
                        Ok(ends_at) => {
                            bought.used = Some(UsedToken {
                                info_hash,
                                starts_at: at,
                                ends_at,
                            });
                        }
                        Err(until) => return Ok(Bought::FreeUntil(until)),
                    }
                }
                let time = |time: Option<UnixTime>| time.map(|time| i64::from(time.0));
                bought.id = sqlx::query_scalar(ADD)
                    .bind(i64::from(user.0))
                    .bind(i64::from(hours))
                    .bind(i64::from(at.0))
                    .bind(time(token_expires_at))
                    .bind(torrent_id)
                    .bind(time(bought.used.map(|used| used.starts_at)))
                    .bind(time(bought.used.map(|used| used.ends_at)))
                    .fetch_one(&mut *tx)
                    .await?;
                token = Some(bought);
            }
            let mut entry = CreditEntry {
                id: 0,
                kind: CreditKind::Purchase,
                amount_milli: -price,
                balance_milli,
                torrent: torrent.map(|(_, hash)| hash),
                note: item.name.clone(),
                created_at: at,
            };
            entry.id = record!(tx, user, entry, torrent_id, None::<i64>);
            Bought::Done { entry, token }
        })
    }

    /// Gives credits to another member, and tells them. Both are locked in the order of their numbers, so that those who
    /// give to each other at once don't wait for each other.
    pub async fn give(&self, gift: &Gift<'_>) -> Result<Given> {
        let Gift {
            from: (from, giver),
            to: (to, taker),
            amount_milli,
            note,
            at,
        } = *gift;
        if from == to {
            return Ok(Given::NoTaker);
        }
        if amount_milli <= 0 {
            return Ok(Given::NoDeal(NoDeal::NotPositive));
        }
        in_transaction!(self, |tx| {
            let (giver_has, taker_has) = if from < to {
                let giver_has = lock_account!(tx, from);
                (giver_has, lock_account!(tx, to))
            } else {
                let taker_has = lock_account!(tx, to);
                (lock_account!(tx, from), taker_has)
            };
            if MemberStatus::parse(&taker_has.status)? != MemberStatus::Active {
                return Ok(Given::NoTaker);
            }
            let after = economy::shop::give(
                giver_has.credits_milli,
                taker_has.credits_milli,
                amount_milli,
            );
            if let Err(why) = after {
                return Ok(Given::NoDeal(why));
            }
            let left = pay!(tx, from, amount_milli, 0_i64, 0_i64);
            let right: Option<i64> = sqlx::query_scalar(RECEIVE)
                .bind(amount_milli)
                .bind(i64::from(to.0))
                .bind(BALANCE_MAX)
                .fetch_optional(&mut *tx)
                .await?;
            let (Some(left), Some(right)) = (left, right) else {
                return Ok(Given::NoDeal(NoDeal::TooMuch));
            };
            let about = |name: String| match note {
                "" => name,
                note => format!("{name}: {note}"),
            };
            let entry = |amount_milli, balance_milli, note| CreditEntry {
                id: 0,
                kind: CreditKind::Gift,
                amount_milli,
                balance_milli,
                torrent: None,
                note,
                created_at: at,
            };
            let mut given = entry(-amount_milli, left, about(format!("to {taker}")));
            let taken = entry(amount_milli, right, about(format!("from {giver}")));
            let actor = Some(i64::from(from.0));
            given.id = record!(tx, from, given, None::<i64>, None::<i64>);
            record!(tx, to, taken, None::<i64>, actor);
            let message = about(format!(
                "{giver} gave you {} credits",
                Milli(amount_milli.unsigned_abs())
            ));
            notify!(tx, to, NotificationKind::Credits, message, at);
            Given::Done(given)
        })
    }
}
