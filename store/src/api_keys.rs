//! API keys: a bot's way in, beside its member's logins. Who has read the database can't use one.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::{Result, StoreError};
use crate::logins::LoginId;
use crate::store::{in_transaction, reading};
use crate::users::{LOCK, User, UserRow, found_one, user_columns};

/// An API key's row number, which is also its public half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyId(pub u32);

/// An API key to be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Whose.
    pub user: UserId,
    /// By which of their logins.
    pub login: LoginId,
    /// What its owner calls it.
    pub label: String,
    /// Of its secret half.
    pub digest: [u8; 32],
    /// What it may do: words with a space between.
    pub scopes: String,
    /// When it was asked for.
    pub created_at: UnixTime,
    /// When it stops working; `None`: never.
    pub expires_at: Option<UnixTime>,
}

/// An API key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Row number.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub label: String,
    /// Of its secret half.
    pub digest: [u8; 32],
    /// Words with a space between.
    pub scopes: String,
    /// When it was asked for.
    pub created_at: UnixTime,
    /// When it stops working.
    pub expires_at: Option<UnixTime>,
}

const CREATE: &str = "
    insert into api_keys (user_id, label, digest, scopes, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6)
    returning id";

const COUNT: &str = "
    select count(*)
    from api_keys
    where user_id = $1 and revoked_at is null";

const LOGIN: &str = "
    select count(*)
    from logins
    where id = $1 and user_id = $2 and revoked_at is null";

const LIST: &str = "
    select id, user_id, label, digest, scopes, created_at, expires_at
    from api_keys
    where user_id = $1 and revoked_at is null
    order by id";

const FIND: &str = "
    select id, user_id, label, digest, scopes, created_at, expires_at
    from api_keys
    where id = $1 and revoked_at is null";

const USER: &str = concat!(
    "select ",
    user_columns!(),
    " from users where users.id = $1"
);

const REVOKE: &str = "
    update api_keys
    set revoked_at = $1
    where id = $2 and user_id = $3 and revoked_at is null";

pub(crate) const REVOKE_ALL: &str = "
    update api_keys
    set revoked_at = $1
    where user_id = $2 and revoked_at is null";

#[derive(FromRow)]
struct ApiKeyRow {
    id: i64,
    user_id: i64,
    label: String,
    digest: Vec<u8>,
    scopes: String,
    created_at: i64,
    expires_at: Option<i64>,
}

impl Store {
    /// Gives an API key its number. `None`: its member has `most` of them already, or more. `NotFound` when the login is
    /// over: whatever ended it ended the API keys too, and none comes after.
    pub async fn create_api_key(&self, new: &NewApiKey, most: u32) -> Result<Option<ApiKeyId>> {
        in_transaction!(self, |tx| {
            let user = i64::from(new.user.0);
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            let logins: i64 = sqlx::query_scalar(LOGIN)
                .bind(i64::from(new.login.0))
                .bind(user)
                .fetch_one(&mut *tx)
                .await?;
            found_one(columns::count(logins, "logins")?, "login")?;
            let count: i64 = sqlx::query_scalar(COUNT)
                .bind(user)
                .fetch_one(&mut *tx)
                .await?;
            if count >= i64::from(most) {
                return Ok(None);
            }
            let id: i64 = sqlx::query_scalar(CREATE)
                .bind(user)
                .bind(&new.label)
                .bind(new.digest.as_slice())
                .bind(&new.scopes)
                .bind(i64::from(new.created_at.0))
                .bind(new.expires_at.map(|at| i64::from(at.0)))
                .fetch_one(&mut *tx)
                .await?;
            Some(ApiKeyId(columns::id(id, "api_keys.id")?))
        })
    }

    /// A member's keys that aren't revoked, oldest first.
    pub async fn api_keys(&self, user: UserId) -> Result<Vec<ApiKey>> {
        let rows: Vec<ApiKeyRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(user.0))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// A key that isn't revoked, and whose it is.
    pub async fn find_api_key(&self, id: ApiKeyId) -> Result<Option<(ApiKey, User)>> {
        let row: Option<ApiKeyRow> = reading!(self, |pool| {
            sqlx::query_as(FIND)
                .bind(i64::from(id.0))
                .fetch_optional(pool)
                .await
        })?;
        let Some(row) = row else { return Ok(None) };
        let user: Option<UserRow> = reading!(self, |pool| {
            sqlx::query_as(USER)
                .bind(row.user_id)
                .fetch_optional(pool)
                .await
        })?;
        match user {
            Some(user) => Ok(Some((row.try_into()?, user.try_into()?))),
            None => Ok(None),
        }
    }

    /// Ends one of a member's keys.
    pub async fn revoke_api_key(&self, user: UserId, id: ApiKeyId, at: UnixTime) -> Result<()> {
        in_transaction!(self, |tx| {
            let updated = sqlx::query(REVOKE)
                .bind(i64::from(at.0))
                .bind(i64::from(id.0))
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "API key")?;
        })
    }
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self> {
        let expires_at = row
            .expires_at
            .map(|at| columns::time(at, "api_keys.expires_at"));
        Ok(Self {
            id: ApiKeyId(columns::id(row.id, "api_keys.id")?),
            label: row.label,
            digest: columns::array(&row.digest, "api_keys.digest")?,
            scopes: row.scopes,
            created_at: columns::time(row.created_at, "api_keys.created_at")?,
            expires_at: expires_at.transpose()?,
        })
    }
}
