//! Logins: each is a family of refresh tokens, of which only the latest generation is good.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::Result;
use crate::store::{in_transaction, reading};
use crate::users::{User, UserRow, user_columns};

/// A login's row number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginId(pub u32);

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was the latest: this generation is, now.
    To(u32),
    /// It had been used before. The whole family is revoked: one of the two who have it stole it.
    Reused,
    /// The login is over: logged out, expired, or its member is disabled.
    Over,
}

const CREATE: &str = "
    insert into logins (user_id, created_at, expires_at)
    values ($1, $2, $3)
    returning id";

const FIND: &str = "
    select generation, expires_at, revoked_at
    from logins
    where id = $1";

/// By the generation: of two who come with the same token at once, one finds nothing to update.
const ADVANCE: &str = "
    update logins
    set generation = generation + 1, expires_at = $1
    where id = $2
        and generation = $3
        and revoked_at is null
        and expires_at > $4
        and exists (
            select 1
            from users
            where users.id = logins.user_id and users.status = 'active')";

const REVOKE: &str = "
    update logins
    set revoked_at = $1
    where id = $2 and revoked_at is null";

/// Of whoever still has the password that was compared, and is no one to keep out. Locks their row: a new password
/// either is seen here, or ends this login.
const MAY_LOG_IN: &str = "
    update users
    set invites = invites
    where id = $1 and password_hash = $2 and status = 'active'";

pub(crate) const REVOKE_ALL: &str = "
    update logins
    set revoked_at = $1
    where user_id = $2 and revoked_at is null";

const CALLER: &str = concat!(
    "select ",
    user_columns!(),
    " from logins join users on users.id = logins.user_id
    where logins.id = $1 and logins.revoked_at is null"
);

/// Ends all of a member's logins and API keys.
macro_rules! log_out_everywhere {
    ($tx:ident, $user:expr, $at:expr) => {{
        for statement in [crate::logins::REVOKE_ALL, crate::api_keys::REVOKE_ALL] {
            sqlx::query(statement)
                .bind(i64::from($at.0))
                .bind(i64::from($user.0))
                .execute(&mut *$tx)
                .await?;
        }
    }};
}

pub(crate) use log_out_everywhere;

#[derive(FromRow)]
struct LoginRow {
    generation: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl Store {
    /// Begins a login, at generation 0. `None`: their password isn't the one of that hash any more, or they were disabled.
    pub async fn create_login(
        &self,
        user: UserId,
        password_hash: &str,
        at: UnixTime,
        expires_at: UnixTime,
    ) -> Result<Option<LoginId>> {
        in_transaction!(self, |tx| {
            let may = sqlx::query(MAY_LOG_IN)
                .bind(i64::from(user.0))
                .bind(password_hash)
                .execute(&mut *tx)
                .await?;
            if may.rows_affected() == 0 {
                return Ok(None);
            }
            let id: i64 = sqlx::query_scalar(CREATE)
                .bind(i64::from(user.0))
                .bind(i64::from(at.0))
                .bind(i64::from(expires_at.0))
                .fetch_one(&mut *tx)
                .await?;
            Some(LoginId(columns::id(id, "logins.id")?))
        })
    }

    /// Takes the token of that generation for the next one's, good until `expires_at`. One that was used before revokes
    /// the login.
    pub async fn refresh_login(
        &self,
        login: LoginId,
        generation: u32,
        at: UnixTime,
        expires_at: UnixTime,
    ) -> Result<Refreshed> {
        in_transaction!(self, |tx| {
            let advanced = sqlx::query(ADVANCE)
                .bind(i64::from(expires_at.0))
                .bind(i64::from(login.0))
                .bind(i64::from(generation))
                .bind(i64::from(at.0))
                .execute(&mut *tx)
                .await?;
            if advanced.rows_affected() > 0 {
                Refreshed::To(generation.saturating_add(1))
            } else {
                let found: Option<LoginRow> = sqlx::query_as(FIND)
                    .bind(i64::from(login.0))
                    .fetch_optional(&mut *tx)
                    .await?;
                let is_old = found.is_some_and(|login| {
                    login.revoked_at.is_none()
                        && login.expires_at > i64::from(at.0)
                        && login.generation != i64::from(generation)
                });
                if is_old {
                    sqlx::query(REVOKE)
                        .bind(i64::from(at.0))
                        .bind(i64::from(login.0))
                        .execute(&mut *tx)
                        .await?;
                    Refreshed::Reused
                } else {
                    Refreshed::Over
                }
            }
        })
    }

    /// Ends a login: none of its tokens is good any more.
    pub async fn revoke_login(&self, login: LoginId, at: UnixTime) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(REVOKE)
                .bind(i64::from(at.0))
                .bind(i64::from(login.0))
                .execute(&mut *tx)
                .await?;
        })
    }

    /// Whose login it is, unless it is over. Says nothing about the member's status.
    pub async fn login_user(&self, login: LoginId) -> Result<Option<User>> {
        let row: Option<UserRow> = reading!(self, |pool| {
            sqlx::query_as(CALLER)
                .bind(i64::from(login.0))
                .fetch_optional(pool)
                .await
        })?;
        row.map(User::try_from).transpose()
    }
}
