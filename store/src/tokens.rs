//! Signed announce tokens. The token itself is never stored: its signature proves it, and its number finds it here.

use sqlx::FromRow;
use tracker_core::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};

use crate::Store;
use crate::changes::{Changed, changing, record_change};
use crate::columns;
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};
use crate::users::{LOCK, found_one};

/// A token to be signed.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Who announces with it.
    pub user: UserId,
    /// What its owner calls it.
    pub label: String,
    /// The only torrent it opens; `None`: all.
    pub torrent: Option<TorrentId>,
    /// When it was asked for.
    pub created_at: UnixTime,
    /// When it stops working; `None`: never.
    pub expires_at: Option<UnixTime>,
}

/// A token, as its owner sees it: the text itself is known to nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Row number.
    pub id: TokenId,
    /// What its owner calls it.
    pub label: String,
    /// The only torrent it opens; `None`: all.
    pub torrent: Option<InfoHash>,
    /// When it was asked for.
    pub created_at: UnixTime,
    /// When it stops working; `None`: never.
    pub expires_at: Option<UnixTime>,
}

#[derive(FromRow)]
struct TokenRow {
    id: i64,
    label: String,
    info_hash: Option<Vec<u8>>,
    created_at: i64,
    expires_at: Option<i64>,
}

const CREATE: &str = "
    insert into tokens (user_id, label, torrent_id, created_at, expires_at)
    values ($1, $2, $3, $4, $5)
    returning id";

/// Those that open the same: all torrents, or the same one.
const COUNT: &str = "
    select count(*)
    from tokens
    where user_id = $1
        and revoked_at is null
        and (torrent_id = $2 or (torrent_id is null and cast($2 as bigint) is null))";

const REVOKE: &str = "
    update tokens
    set revoked_at = coalesce(revoked_at, $1)
    where id = $2";

const REVOKE_OWN: &str = "
    update tokens
    set revoked_at = coalesce(revoked_at, $1)
    where id = $2 and user_id = $3";

/// Those that still open something, or would again if a clock was wrong: expired ones are shown as such.
const LIST: &str = "
    select tokens.id, tokens.label, torrents.info_hash, tokens.created_at, tokens.expires_at
    from tokens
    left join torrents on torrents.id = tokens.torrent_id
    where tokens.user_id = $1
        and tokens.revoked_at is null
        and tokens.id > $2
    order by tokens.id
    limit $3";

/// The one that lasts longest, of those that are good.
const FIND: &str = "
    select id, expires_at
    from tokens
    where torrent_id = $1
        and user_id = $2
        and label = $3
        and revoked_at is null
        and (expires_at is null or expires_at > $4)
    order by expires_at is not null, expires_at desc, id
    limit 1";

/// The first one stays.
const PIN_KEY: &str = "
    insert into marks (name, value)
    values ('token_key', $1)
    on conflict (name) do nothing";

const PINNED_KEY: &str = "
    select value
    from marks
    where name = 'token_key'";

/// The row that a token's number is of.
macro_rules! create {
    ($tx:ident, $new:expr) => {{
        let id: i64 = sqlx::query_scalar(CREATE)
            .bind(i64::from($new.user.0))
            .bind(&$new.label)
            .bind($new.torrent.map(|torrent| i64::from(torrent.0)))
            .bind(i64::from($new.created_at.0))
            .bind($new.expires_at.map(|at| i64::from(at.0)))
            .fetch_one(&mut *$tx)
            .await?;
        TokenId(columns::id(id, "tokens.id")?)
    }};
}

/// A token like the new one.
macro_rules! find {
    ($executor:expr, $new:expr) => {
        sqlx::query_as::<_, (i64, Option<i64>)>(FIND)
            .bind($new.torrent.map(|torrent| i64::from(torrent.0)))
            .bind(i64::from($new.user.0))
            .bind(&$new.label)
            .bind(i64::from($new.created_at.0))
            .fetch_optional($executor)
            .await?
    };
}

impl Store {
    /// The fingerprint of the key that signs this site's tokens: the one given, if there was none yet. With another key,
    /// every announce URL given out so far would be refused.
    pub async fn pin_token_key(&self, fingerprint: u64) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(PIN_KEY)
                .bind(fingerprint.cast_signed())
                .execute(&mut *tx)
                .await?;
            let pinned: i64 = sqlx::query_scalar(PINNED_KEY).fetch_one(&mut *tx).await?;
            pinned.cast_unsigned()
        })
    }

    /// Gives a token its number. No change row: the trackers know a token by its signature.
    pub async fn create_token(&self, new: &NewToken) -> Result<TokenId> {
        in_transaction!(self, |tx| { create!(tx, new) })
    }

    /// The same. `None`: its member has `most` tokens that open the same, or more.
    pub async fn create_one_of_tokens(&self, new: &NewToken, most: u32) -> Result<Option<TokenId>> {
        in_transaction!(self, |tx| {
            let user = i64::from(new.user.0);
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            let count: i64 = sqlx::query_scalar(COUNT)
                .bind(user)
                .bind(new.torrent.map(|torrent| i64::from(torrent.0)))
                .fetch_one(&mut *tx)
                .await?;
            if count >= i64::from(most) {
                return Ok(None);
            }
            Some(create!(tx, new))
        })
    }

    /// A member's token for one torrent that has this label and is good now, or the new one: its number, and when it
    /// expires. Of many who ask at once, all get the same.
    pub async fn find_or_create_token(
        &self,
        new: &NewToken,
    ) -> Result<(TokenId, Option<UnixTime>)> {
        // Mostly it is there, and nothing has to be written.
        let found = reading!(self, |pool| find!(pool, new));
        if let Some(found) = found {
            return read_found(found);
        }
        in_transaction!(self, |tx| {
            let user = i64::from(new.user.0);
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            match find!(&mut *tx, new) {
                Some(found) => read_found(found)?,
                None => (create!(tx, new), new.expires_at),
            }
        })
    }

    /// A member's tokens that aren't revoked, after the one of that number.
    pub async fn tokens(&self, user: UserId, after: u32, limit: u32) -> Result<Vec<Token>> {
        let rows: Vec<TokenRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .bind(i64::from(after))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Token::try_from).collect()
    }

    /// Makes one of a member's own tokens open nothing any more.
    pub async fn revoke_own_token(&self, user: UserId, token: TokenId, at: UnixTime) -> Result<()> {
        changing!(self, |tx, change| {
            let updated = sqlx::query(REVOKE_OWN)
                .bind(i64::from(at.0))
                .bind(i64::from(token.0))
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "token")?;
            record_change!(tx, change, Changed::Token(token), at);
        })
    }

    /// Makes a token open nothing any more. Revoked twice, it keeps the first time.
    pub async fn revoke_token(&self, token: TokenId, at: UnixTime) -> Result<()> {
        changing!(self, |tx, change| {
            let updated = sqlx::query(REVOKE)
                .bind(i64::from(at.0))
                .bind(i64::from(token.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "token")?;
            record_change!(tx, change, Changed::Token(token), at);
        })
    }
}

fn read_found((id, end): (i64, Option<i64>)) -> Result<(TokenId, Option<UnixTime>)> {
    let end = end.map(|at| columns::time(at, "tokens.expires_at"));
    Ok((TokenId(columns::id(id, "tokens.id")?), end.transpose()?))
}

impl TryFrom<TokenRow> for Token {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self> {
        let torrent = columns::maybe_array(row.info_hash, "torrents.info_hash")?;
        let expires_at = row
            .expires_at
            .map(|at| columns::time(at, "tokens.expires_at"));
        Ok(Self {
            id: TokenId(columns::id(row.id, "tokens.id")?),
            label: row.label,
            torrent: torrent.map(InfoHash),
            created_at: columns::time(row.created_at, "tokens.created_at")?,
            expires_at: expires_at.transpose()?,
        })
    }
}
