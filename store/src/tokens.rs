//! Signed announce tokens. The token itself is never stored: its signature proves it, and its number finds it here.

use tracker_core::ids::{TokenId, TorrentId, UnixTime, UserId};

use crate::Store;
use crate::changes::{Changed, changing, record_change};
use crate::columns;
use crate::error::Result;
use crate::store::in_transaction;
use crate::users::found_one;

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

const CREATE: &str = "
    insert into tokens (user_id, label, torrent_id, created_at, expires_at)
    values ($1, $2, $3, $4, $5)
    returning id";

const REVOKE: &str = "
    update tokens
    set revoked_at = coalesce(revoked_at, $1)
    where id = $2";

/// The first one stays.
const PIN_KEY: &str = "
    insert into marks (name, value)
    values ('token_key', $1)
    on conflict (name) do nothing";

const PINNED_KEY: &str = "
    select value
    from marks
    where name = 'token_key'";

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
        in_transaction!(self, |tx| {
            let id: i64 = sqlx::query_scalar(CREATE)
                .bind(i64::from(new.user.0))
                .bind(&new.label)
                .bind(new.torrent.map(|torrent| i64::from(torrent.0)))
                .bind(i64::from(new.created_at.0))
                .bind(new.expires_at.map(|at| i64::from(at.0)))
                .fetch_one(&mut *tx)
                .await?;
            TokenId(columns::id(id, "tokens.id")?)
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
