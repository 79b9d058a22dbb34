//! Members, as staff look them up and admins change them.

use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::{MemberStatus, UserClass};

use crate::Store;
use crate::audit::record_audit;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::conduct::record_class_change;
use crate::error::{Result, StoreError};
use crate::logins::log_out_everywhere;
use crate::notifications::{NotificationKind, notify};
use crate::roster::page_limit;
use crate::store::reading;
use crate::users::{User, UserRole, UserRow, user_columns};

/// Which members are looked for.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// How their name begins, whatever its case.
    pub name_prefix: Option<String>,
    /// May they do anything at all?
    pub status: Option<MemberStatus>,
    /// What they may do.
    pub role: Option<UserRole>,
}

/// What an admin changes. `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// Disabled, they are logged out everywhere, and their API keys are over.
    pub status: Option<MemberStatus>,
    /// What they may do.
    pub role: Option<UserRole>,
    /// What they have earned.
    pub class: Option<UserClass>,
    /// Codes they may still give out.
    pub invites: Option<u32>,
}

/// What a member has, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCounts {
    /// Members they brought.
    pub invited: u64,
    /// Announce tokens that aren't revoked.
    pub tokens: u64,
    /// API keys that aren't revoked.
    pub api_keys: u64,
    /// Logins that are neither over nor revoked.
    pub logins: u64,
}

const LIST: &str = concat!(
    "select ",
    user_columns!(),
    " from users
    where id > $1
        and ($2 is null or status = $2)
        and ($3 is null or role = $3)
    order by id
    limit $4"
);

/// A prefix is a stretch of the index on username_key, which both databases keep in the order of its bytes.
const SEARCH: &str = concat!(
    "select ",
    user_columns!(),
    " from users
    where id > $1
        and ($2 is null or status = $2)
        and ($3 is null or role = $3)
        and username_key >= $5
        and username_key < $6
    order by id
    limit $4"
);

const COUNTS: &str = "
    select
        (select count(*) from users where users.invited_by = $1),
        (select count(*) from tokens where tokens.user_id = $1 and tokens.revoked_at is null),
        (select count(*) from api_keys where api_keys.user_id = $1 and api_keys.revoked_at is null),
        (select count(*) from logins
            where logins.user_id = $1 and logins.revoked_at is null and logins.expires_at > $2)";

const FIND: &str = concat!("select ", user_columns!(), " from users where id = $1");

const OTHER_ADMINS: &str = "
    select count(*)
    from users
    where role = 'admin' and status = 'active' and id <> $1";

const CHANGE: &str = "
    update users
    set status = coalesce($1, status),
        role = coalesce($2, role),
        class = coalesce($3, class),
        class_changed_at = case
            when $3 is null or $3 = class then class_changed_at
            when class_changed_at >= $6 then class_changed_at + 1
            else $6
        end,
        invites = coalesce($4, invites)
    where id = $5";

impl Store {
    /// Members in the order of their numbers, those after `after`.
    pub async fn find_users(
        &self,
        filter: &UserFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<User>> {
        let status = filter.status.map(Word::word);
        let role = filter.role.map(Word::word);
        let rows: Vec<UserRow> = match &filter.name_prefix {
            None => reading!(self, |pool| {
                sqlx::query_as(LIST)
                    .bind(after)
                    .bind(status)
                    .bind(role)
                    .bind(page_limit(limit))
                    .fetch_all(pool)
                    .await
            })?,
            Some(prefix) => {
                let first = prefix.to_lowercase();
                let end = format!("{first}{}", char::MAX);
                reading!(self, |pool| {
                    sqlx::query_as(SEARCH)
                        .bind(after)
                        .bind(status)
                        .bind(role)
                        .bind(page_limit(limit))
                        .bind(&first)
                        .bind(&end)
                        .fetch_all(pool)
                        .await
                })?
            }
        };
        rows.into_iter().map(User::try_from).collect()
    }

    /// What a member has, counted.
    pub async fn user_counts(&self, user: UserId, at: UnixTime) -> Result<UserCounts> {
        let (invited, tokens, api_keys, logins): (i64, i64, i64, i64) = reading!(self, |pool| {
            sqlx::query_as(COUNTS)
                .bind(i64::from(user.0))
                .bind(i64::from(at.0))
                .fetch_one(pool)
                .await
        })?;
        Ok(UserCounts {
            invited: columns::count(invited, "users")?,
            tokens: columns::count(tokens, "tokens")?,
            api_keys: columns::count(api_keys, "api_keys")?,
            logins: columns::count(logins, "logins")?,
        })
    }

    /// Changes a member, for an admin. `false`: nobody would be left who may do everything. All who change members wait
    /// for the change's number, so two admins can't take the role from each other at once.
    pub async fn change_user(
        &self,
        user: UserId,
        change: &UserChange,
        actor: UserId,
        at: UnixTime,
    ) -> Result<bool> {
        changing!(self, |tx, number| {
            let row: Option<UserRow> = sqlx::query_as(FIND)
                .bind(i64::from(user.0))
                .fetch_optional(&mut *tx)
                .await?;
            let row = row.ok_or(StoreError::NotFound { what: "user" })?;
            let before = User::try_from(row)?;
            if change.takes_an_admin(&before) {
                let others: i64 = sqlx::query_scalar(OTHER_ADMINS)
                    .bind(i64::from(user.0))
                    .fetch_one(&mut *tx)
                    .await?;
                if others == 0 {
                    return Ok(false);
                }
            }
            sqlx::query(CHANGE)
                .bind(change.status.map(Word::word))
                .bind(change.role.map(Word::word))
                .bind(change.class.map(Word::word))
                .bind(change.invites.map(i64::from))
                .bind(i64::from(user.0))
                .bind(i64::from(at.0))
                .execute(&mut *tx)
                .await?;
            if change.class.is_some_and(|class| class != before.class) {
                record_class_change!(tx, user, before.class);
            }
            if change.status == Some(MemberStatus::Disabled) {
                log_out_everywhere!(tx, user, at);
            }
            let subject = format!("user:{}", user.0);
            let detail = change.describe(&before);
            let message = format!("your account was changed: {detail}");
            record_audit!(tx, actor, "user.change", subject, detail, at);
            notify!(tx, user, NotificationKind::Account, message, at);
            record_change!(tx, number, Changed::User(user), at);
            true
        })
    }
}

impl UserChange {
    /// Whether there is an admin less afterwards.
    fn takes_an_admin(&self, before: &User) -> bool {
        let was = before.role == UserRole::Admin && before.status == MemberStatus::Active;
        let is = self.role.unwrap_or(before.role) == UserRole::Admin
            && self.status.unwrap_or(before.status) == MemberStatus::Active;
        was && !is
    }

    fn describe(&self, before: &User) -> String {
        let words = |name: &str, from: &str, to: &str| format!("{name}: {from} to {to}");
        let parts = [
            self.status
                .map(|to| words("status", before.status.word(), to.word())),
            self.role
                .map(|to| words("role", before.role.word(), to.word())),
            self.class
                .map(|to| words("user_class", before.class.word(), to.word())),
            self.invites
                .map(|to| words("invites", &before.invites.to_string(), &to.to_string())),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}
