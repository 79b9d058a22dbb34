//! What is over goes: one transaction each, of so many rows at most, that leaves nothing half done. Whoever calls does so
//! again while there were as many.

use std::collections::BTreeMap;

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::error::Result;
use crate::notifications::{NotificationKind, notify};
use crate::store::{in_transaction, reading};
use crate::{Store, columns, gate, notes};

/// The condition stands twice: what was changed while the transaction waited for it stays.
macro_rules! past {
    ($table:literal, $over:literal) => {
        concat!(
            "delete from ",
            $table,
            " where id in (select id from ",
            $table,
            " where ",
            $over,
            " limit $2) and ",
            $over
        )
    };
}

/// What nobody asks for any more, some time after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Freeleech tokens that expired unused.
    HeldTokens,
    /// Logins that were revoked, or not refreshed.
    Logins,
    /// API keys that were revoked, or expired.
    ApiKeys,
    /// Announce tokens that expired. One that was revoked and has no end stays: trackers know by its row that it is worth
    /// nothing.
    AnnounceTokens,
    /// Notifications that were read.
    Notifications,
}

impl Past {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::HeldTokens,
        Self::Logins,
        Self::ApiKeys,
        Self::AnnounceTokens,
        Self::Notifications,
    ];

    fn statement(self) -> &'static str {
        match self {
            Self::HeldTokens => past!("bought_tokens", "starts_at is null and expires_at <= $1"),
            Self::Logins => past!("logins", "(expires_at <= $1 or revoked_at <= $1)"),
            Self::ApiKeys => past!("api_keys", "(expires_at <= $1 or revoked_at <= $1)"),
            Self::AnnounceTokens => past!("tokens", "expires_at <= $1"),
            Self::Notifications => past!("notifications", "read_at <= $1"),
        }
    }
}

/// Codes that cost their maker something, which have expired unused.
const TAKE_INVITES: &str = "
    update invites
    set given_back_at = $1
    where id in (
            select id
            from invites
            where expires_at <= $1
                and cost > 0
                and used_at is null
                and revoked_at is null
                and given_back_at is null
            limit $2)
        and used_at is null
        and revoked_at is null
        and given_back_at is null
    returning created_by, cost";

const GIVE_INVITES: &str = "
    update users
    set invites = invites + $1
    where id = $2";

/// Tokens that are held, and expire soon.
const WARN: &str = "
    update bought_tokens
    set warned_at = $1
    where id in (
            select id
            from bought_tokens
            where starts_at is null and warned_at is null and expires_at > $1 and expires_at <= $2
            limit $3)
        and starts_at is null and warned_at is null
    returning user_id, hours, expires_at";

/// Deleted before they are added up: a session that announces meanwhile stays, or comes too late and begins anew.
const PRUNE_SESSIONS: &str = "
    delete from sessions
    where (user_id, torrent_id, peer_id) in (
            select user_id, torrent_id, peer_id
            from sessions
            where announced_at < $1
            limit $2)
        and announced_at < $1
    returning user_id, torrent_id, seeded_secs, credited_uploaded";

const KEEP_FOR_SNATCH: &str = "
    update snatches
    set pruned_seed_secs = pruned_seed_secs + $1,
        pruned_uploaded = case
            when pruned_uploaded + $2 > 1125899906842624 then 1125899906842624
            else pruned_uploaded + $2
        end
    where user_id = $3 and torrent_id = $4";

const KEEP_FOR_USER: &str = "
    update users
    set pruned_seed_secs = pruned_seed_secs + $1
    where id = $2";

/// And before which hour everything is settled, of all members.
const FIRST_HOUR: &str = "
    select (select min(hour) from traffic), (select min(unsettled_since) from users)";

const PRUNE_TRAFFIC: &str = "
    delete from traffic
    where hour <= $1";

/// With the traffic that they have seen: what still comes for the hour is all there is then. What nobody could pay in all
/// that time is forgotten.
const PRUNE_SETTLEMENTS: &str = "
    delete from settlements
    where hour <= $1";

/// More than any torrent has; and no sum of it gets to where 64 bits end.
const PIB: i64 = 1 << 50;

#[derive(FromRow)]
struct PrunedRow {
    user_id: i64,
    torrent_id: i64,
    seeded_secs: i64,
    credited_uploaded: i64,
}

impl Store {
    /// Deletes what was over at a moment, or before. Returns how many.
    pub async fn delete_past(&self, what: Past, at: UnixTime, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(what.statement())
                .bind(i64::from(at.0))
                .bind(i64::from(rows))
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }

    /// Deletes IP blocks that are over. There can't be many.
    pub async fn delete_past_ip_blocks(&self, now: UnixTime) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(gate::FORGET_BLOCKS)
                .bind(i64::from(now.0))
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })
    }

    /// Gives members back what codes took from their allowance that have expired unused: once. Returns how many codes.
    pub async fn give_back_invites(&self, now: UnixTime, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            let expired: Vec<(Option<i64>, i64)> = sqlx::query_as(TAKE_INVITES)
                .bind(i64::from(now.0))
                .bind(i64::from(rows))
                .fetch_all(&mut *tx)
                .await?;
            let mut members = BTreeMap::<i64, i64>::new();
            for (by, cost) in &expired {
                if let Some(by) = by {
                    *members.entry(*by).or_default() += cost;
                }
            }
            for (member, cost) in members {
                sqlx::query(GIVE_INVITES)
                    .bind(cost)
                    .bind(member)
                    .execute(&mut *tx)
                    .await?;
            }
            expired.len() as u64
        })
    }

    /// Tells members of tokens that they hold, and that expire until then: once. Returns how many tokens.
    pub async fn warn_of_tokens(&self, now: UnixTime, until: UnixTime, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            let ending: Vec<(i64, i64, i64)> = sqlx::query_as(WARN)
                .bind(i64::from(now.0))
                .bind(i64::from(until.0))
                .bind(i64::from(rows))
                .fetch_all(&mut *tx)
                .await?;
            for (user, hours, expires_at) in &ending {
                let user = UserId(columns::id(*user, "bought_tokens.user_id")?);
                let end = notes::minute(*expires_at);
                let message =
                    format!("A freeleech token of yours ({hours} h) can be used until {end}");
                notify!(tx, user, NotificationKind::Token, message, now);
            }
            ending.len() as u64
        })
    }

    /// Deletes sessions that announced before then for the last time. How long their members seeded stays in their rows, and
    /// what they gave back in those of their snatches. Returns how many.
    pub async fn prune_sessions(&self, before: UnixTime, rows: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            let pruned: Vec<PrunedRow> = sqlx::query_as(PRUNE_SESSIONS)
                .bind(i64::from(before.0))
                .bind(i64::from(rows))
                .fetch_all(&mut *tx)
                .await?;
            let mut snatches = BTreeMap::<(i64, i64), (i64, i64)>::new();
            let mut members = BTreeMap::<i64, i64>::new();
            for row in &pruned {
                let uploaded = row.credited_uploaded.min(PIB);
                let kept = snatches.entry((row.user_id, row.torrent_id)).or_default();
                kept.0 += row.seeded_secs;
                kept.1 = (kept.1 + uploaded).min(PIB);
                *members.entry(row.user_id).or_default() += row.seeded_secs;
            }
            // In the ledger's order.
            for ((user, torrent), (secs, uploaded)) in snatches {
                sqlx::query(KEEP_FOR_SNATCH)
                    .bind(secs)
                    .bind(uploaded)
                    .bind(user)
                    .bind(torrent)
                    .execute(&mut *tx)
                    .await?;
            }
            for (user, secs) in members.into_iter().filter(|(_, secs)| *secs > 0) {
                sqlx::query(KEEP_FOR_USER)
                    .bind(secs)
                    .bind(user)
                    .execute(&mut *tx)
                    .await?;
            }
            pruned.len() as u64
        })
    }

    /// Deletes the traffic of so many hours from the first on, of those before an hour that are settled. `None`: there is no more; else how
    /// many rows it were.
    pub async fn prune_traffic(&self, before_hour: u32, hours: u32) -> Result<Option<u64>> {
        let (first, unsettled): (Option<i64>, Option<i64>) = reading!(self, |pool| {
            sqlx::query_as(FIRST_HOUR).fetch_one(pool).await
        })?;
        let end = i64::from(before_hour).min(unsettled.unwrap_or(i64::MAX));
        let Some(first) = first.filter(|first| *first < end) else {
            return Ok(None);
        };
        let last = (first + i64::from(hours)).min(end) - 1;
        in_transaction!(self, |tx| {
            let pruned = sqlx::query(PRUNE_TRAFFIC)
                .bind(last)
                .execute(&mut *tx)
                .await?;
            sqlx::query(PRUNE_SETTLEMENTS)
                .bind(last)
                .execute(&mut *tx)
                .await?;
            Some(pruned.rows_affected())
        })
    }
}
