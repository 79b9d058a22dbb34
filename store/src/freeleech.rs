//! Freeleech tokens: bought, held for a while, and used for a torrent. What traffic counts follows from the table
//! `freeleech_tokens` alone, where each has a row once it is used.

use sqlx::FromRow;
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::shop::lock_account;
use crate::store::{in_transaction, reading};

/// A token that somebody bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeleechToken {
    /// Row number: later ones are higher.
    pub id: i64,
    /// How long it frees a torrent.
    pub hours: u32,
    /// When it was bought.
    pub bought_at: UnixTime,
    /// From when on it can't be used any more; `None`: it can for ever.
    pub expires_at: Option<UnixTime>,
    /// Where it was used; `None`: it is held.
    pub used: Option<UsedToken>,
}

/// A token's torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedToken {
    /// The torrent's.
    pub info_hash: InfoHash,
    /// From when on its downloads don't count.
    pub starts_at: UnixTime,
    /// From when on they do again.
    pub ends_at: UnixTime,
}

/// What became of the wish to use a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// It holds.
    Done(FreeleechToken),
    /// They have no such token.
    NotTheirs,
    /// It was used before.
    Used,
    /// It has expired.
    Expired,
    /// Another of theirs for this torrent ends then, and this would be for nothing.
    FreeUntil(UnixTime),
}

pub(crate) const OPEN: &str = "
    select max(ends_at)
    from freeleech_tokens
    where user_id = $1
        and torrent_id = $2
        and ends_at > $3";

pub(crate) const FREE: &str = "
    insert into freeleech_tokens (user_id, torrent_id, starts_at, ends_at)
    values ($1, $2, $3, $4)";

pub(crate) const ADD: &str = "
    insert into bought_tokens (user_id, hours, bought_at, expires_at, torrent_id, starts_at, ends_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning id";

const USE: &str = "
    update bought_tokens
    set torrent_id = $1, starts_at = $2, ends_at = $3
    where id = $4";

macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "select bought_tokens.id, bought_tokens.hours, bought_tokens.bought_at, bought_tokens.expires_at,
                torrents.info_hash, bought_tokens.starts_at, bought_tokens.ends_at
            from bought_tokens
            left join torrents on torrents.id = bought_tokens.torrent_id ",
            $rest
        )
    };
}

const LIST: &str = select_tokens!(
    "where bought_tokens.user_id = $1
        and bought_tokens.id < $2
    order by bought_tokens.id desc
    limit $3"
);

const FIND: &str = select_tokens!("where bought_tokens.user_id = $1 and bought_tokens.id = $2");

#[derive(FromRow)]
struct TokenRow {
    id: i64,
    hours: i64,
    bought_at: i64,
    expires_at: Option<i64>,
    info_hash: Option<Vec<u8>>,
    starts_at: Option<i64>,
    ends_at: Option<i64>,
}

/// Frees a torrent for a member whose row is locked: until when; or `Err` with the end of another token of theirs for it.
macro_rules! free_torrent {
    ($tx:ident, $user:expr, $torrent:expr, $hours:expr, $at:expr) => {{
        let open: Option<i64> = sqlx::query_scalar(crate::freeleech::OPEN)
            .bind(i64::from($user.0))
            .bind($torrent)
            .bind(i64::from($at.0))
            .fetch_one(&mut *$tx)
            .await?;
        match open {
            Some(open) => Err(crate::columns::time(open, "freeleech_tokens.ends_at")?),
            None => {
                let end = UnixTime($at.0.saturating_add($hours.saturating_mul(3600)));
                sqlx::query(crate::freeleech::FREE)
                    .bind(i64::from($user.0))
                    .bind($torrent)
                    .bind(i64::from($at.0))
                    .bind(i64::from(end.0))
                    .execute(&mut *$tx)
                    .await?;
                Ok(end)
            }
        }
    }};
}

pub(crate) use free_torrent;

impl Store {
    /// A member's tokens, held and used, newest first: those before the one of that number.
    pub async fn freeleech_tokens(
        &self,
        user: UserId,
        before: i64,
        limit: u32,
    ) -> Result<Vec<FreeleechToken>> {
        let rows: Vec<TokenRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(FreeleechToken::try_from).collect()
    }

    /// Uses a token that its member holds. Their row is locked first, as it is when they buy: of two uses at once, of one
    /// token or for one torrent, the second sees the first.
    pub async fn use_freeleech_token(
        &self,
        user: UserId,
        token: i64,
        (torrent, info_hash): (TorrentId, InfoHash),
        at: UnixTime,
    ) -> Result<TokenUse> {
        in_transaction!(self, |tx| {
            lock_account!(tx, user);
            let found: Option<TokenRow> = sqlx::query_as(FIND)
                .bind(i64::from(user.0))
                .bind(token)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(found) = found else {
                return Ok(TokenUse::NotTheirs);
            };
            let mut held = FreeleechToken::try_from(found)?;
            if held.used.is_some() {
                return Ok(TokenUse::Used);
            }
            if held.expires_at.is_some_and(|end| end <= at) {
                return Ok(TokenUse::Expired);
            }
            let torrent = i64::from(torrent.0);
            let end = match free_torrent!(tx, user, torrent, held.hours, at) {
                Ok(end) => end,
                Err(until) => return Ok(TokenUse::FreeUntil(until)),
            };
            sqlx::query(USE)
                .bind(torrent)
                .bind(i64::from(at.0))
                .bind(i64::from(end.0))
                .bind(token)
                .execute(&mut *tx)
                .await?;
            held.used = Some(UsedToken {
                info_hash,
                starts_at: at,
                ends_at: end,
            });
            TokenUse::Done(held)
        })
    }
}

impl TryFrom<TokenRow> for FreeleechToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self> {
        let used = match (row.info_hash, row.starts_at, row.ends_at) {
            (Some(hash), Some(starts_at), Some(ends_at)) => Some(UsedToken {
                info_hash: InfoHash(columns::array(&hash, "torrents.info_hash")?),
                starts_at: columns::time(starts_at, "bought_tokens.starts_at")?,
                ends_at: columns::time(ends_at, "bought_tokens.ends_at")?,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            hours: columns::id(row.hours, "bought_tokens.hours")?,
            bought_at: columns::time(row.bought_at, "bought_tokens.bought_at")?,
            expires_at: columns::maybe_time(row.expires_at, "bought_tokens.expires_at")?,
            used,
        })
    }
}
