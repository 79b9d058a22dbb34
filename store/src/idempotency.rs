//! Answers to requests that came with an `Idempotency-Key`.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::{Result, StoreError};
use crate::store::in_transaction;

/// A request with a key, before it is done.
#[derive(Clone, Debug)]
pub struct KeyedRequest<'a> {
    /// Whose.
    pub user: UserId,
    /// As they sent it.
    pub key: &'a str,
    /// Of method, path and body.
    pub digest: [u8; 32],
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing, or that the same request was interrupted: it is taken now, and the request is to be done.
    New,
    /// Another request had it.
    Another,
    /// The same request, which isn't done yet, or was interrupted lately.
    Pending,
    /// The same request, and its answer.
    Answered {
        /// HTTP's.
        status: u16,
        /// As it was sealed.
        answer: Vec<u8>,
    },
}

const TAKE: &str = "
    insert into idempotency_keys (user_id, idempotency_key, request_digest, created_at)
    values ($1, $2, $3, $4)
    on conflict (user_id, idempotency_key) do update
    set created_at = excluded.created_at
    where idempotency_keys.status is null
        and idempotency_keys.request_digest = excluded.request_digest
        and idempotency_keys.created_at < $5";

const FIND: &str = "
    select request_digest, status, answer
    from idempotency_keys
    where user_id = $1 and idempotency_key = $2";

const ANSWER: &str = "
    update idempotency_keys
    set status = $1, answer = $2
    where user_id = $3 and idempotency_key = $4";

const FORGET: &str = "
    delete from idempotency_keys
    where user_id = $1 and idempotency_key = $2";

const FORGET_OLD: &str = "
    delete from idempotency_keys
    where created_at < $1";

#[derive(FromRow)]
struct Row {
    request_digest: Vec<u8>,
    status: Option<i64>,
    answer: Option<Vec<u8>>,
}

impl Store {
    /// Takes a key, or says what came of it. Keys from before `oldest` are forgotten first; one from before `interrupted`
    /// without an answer is its request's to take again.
    pub async fn take_idempotency_key(
        &self,
        request: &KeyedRequest<'_>,
        at: UnixTime,
        oldest: UnixTime,
        interrupted: UnixTime,
    ) -> Result<Known> {
        in_transaction!(self, |tx| {
            sqlx::query(FORGET_OLD)
                .bind(i64::from(oldest.0))
                .execute(&mut *tx)
                .await?;
            let taken = sqlx::query(TAKE)
                .bind(i64::from(request.user.0))
                .bind(request.key)
                .bind(request.digest.as_slice())
                .bind(i64::from(at.0))
                .bind(i64::from(interrupted.0))
                .execute(&mut *tx)
                .await?;
            if taken.rows_affected() > 0 {
                Known::New
            } else {
                let row: Row = sqlx::query_as(FIND)
                    .bind(i64::from(request.user.0))
                    .bind(request.key)
                    .fetch_one(&mut *tx)
                    .await?;
                row.known(request)?
            }
        })
    }

    /// Keeps the answer to a request that is done.
    pub async fn answer_idempotency_key(
        &self,
        request: &KeyedRequest<'_>,
        status: u16,
        answer: &[u8],
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(ANSWER)
                .bind(i64::from(status))
                .bind(answer)
                .bind(i64::from(request.user.0))
                .bind(request.key)
                .execute(&mut *tx)
                .await?;
        })
    }

    /// Lets a key go: its request changed nothing, and may be sent again.
    pub async fn forget_idempotency_key(&self, request: &KeyedRequest<'_>) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(FORGET)
                .bind(i64::from(request.user.0))
                .bind(request.key)
                .execute(&mut *tx)
                .await?;
        })
    }
}

impl Row {
    fn known(self, request: &KeyedRequest<'_>) -> Result<Known> {
        if self.request_digest != request.digest {
            return Ok(Known::Another);
        }
        match (self.status, self.answer) {
            (Some(status), Some(answer)) => {
                let status = u16::try_from(columns::id(status, "idempotency_keys.status")?);
                let status = status
                    .map_err(|_| StoreError::corrupt("idempotency_keys.status", "no status"))?;
                Ok(Known::Answered { status, answer })
            }
            _ => Ok(Known::Pending),
        }
    }
}
