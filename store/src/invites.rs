//! Invite codes: the way in for new members, and who brought whom.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::{MemberStatus, UserClass};

use crate::Store;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::{in_transaction, reading};

/// A code, as its maker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Row number: codes are listed by it.
    pub id: i64,
    /// What a newcomer types in.
    pub code: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody came with it.
    pub used_at: Option<UnixTime>,
    /// Who came with it.
    pub used_by: Option<String>,
    /// When it stops being good; `None`: never.
    pub expires_at: Option<UnixTime>,
    /// When its maker took it back.
    pub revoked_at: Option<UnixTime>,
}

/// A member under the one who brought them, or who brought those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// Row number.
    pub id: UserId,
    /// As they wrote it.
    pub username: String,
    /// Who brought them.
    pub invited_by: UserId,
    /// What they have earned.
    pub class: UserClass,
    /// May they do anything at all?
    pub status: MemberStatus,
    /// When they joined.
    pub created_at: UnixTime,
    /// 1: brought by the member who was asked for.
    pub depth: u32,
}

#[derive(FromRow)]
struct InviteRow {
    id: i64,
    code: String,
    created_at: i64,
    used_at: Option<i64>,
    used_by: Option<String>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

#[derive(FromRow)]
struct InviteeRow {
    id: i64,
    username: String,
    invited_by: i64,
    class: String,
    status: String,
    created_at: i64,
    depth: i64,
}

const CREATE: &str = "
    insert into invites (code, created_by, created_at, expires_at, cost)
    values ($1, $2, $3, $4, $5)";

/// By what is left: of two who take the last one at once, one finds nothing to update.
const TAKE_FROM_ALLOWANCE: &str = "
    update users
    set invites = invites - 1
    where id = $1 and invites > 0";

const LIST: &str = "
    select invites.id, invites.code, invites.created_at, invites.used_at, users.username as used_by,
        invites.expires_at, invites.revoked_at
    from invites
    left join users on users.id = invites.used_by
    where invites.created_by = $1
        and invites.id < $2
    order by invites.id desc
    limit $3";

const REVOKE: &str = "
    update invites
    set revoked_at = $1
    where code = $2
        and created_by = $3
        and used_at is null
        and revoked_at is null
        and given_back_at is null
    returning cost";

const GIVE_BACK: &str = "
    update users
    set invites = invites + $1
    where id = $2";

const IS_THEIRS: &str = "
    select count(*)
    from invites
    where code = $1 and created_by = $2";

/// Those nearest first, so that what the limit cuts off is the outermost. The limit stands where it ends the recursion.
const TREE: &str = "
    with recursive tree (id, depth) as (
        select users.id, cast(1 as bigint)
        from users
        where users.invited_by = $1
        union all
        select users.id, tree.depth + 1
        from tree
        join users on users.invited_by = tree.id
        where tree.depth < $2)
    select users.id, users.username, users.invited_by, users.class, users.status, users.created_at, nearest.depth
    from (select id, depth from tree limit $3) as nearest
    join users on users.id = nearest.id
    order by nearest.depth, users.id";

impl Store {
    /// Writes down codes that the caller has drawn: all of them, or with a `Duplicate` none. `by` is `None` for the
    /// operator at the command line.
    pub async fn create_invites(
        &self,
        codes: &[String],
        by: Option<UserId>,
        at: UnixTime,
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            for code in codes {
                sqlx::query(CREATE)
                    .bind(code)
                    .bind(by.map(|user| i64::from(user.0)))
                    .bind(i64::from(at.0))
                    .bind(None::<i64>)
                    .bind(0_i64)
                    .execute(&mut *tx)
                    .await?;
            }
        })
    }

    /// Writes down one code of a member's, out of their allowance. `false`: they have none left.
    pub async fn create_invite_from_allowance(
        &self,
        code: &str,
        by: UserId,
        at: UnixTime,
        expires_at: Option<UnixTime>,
    ) -> Result<bool> {
        in_transaction!(self, |tx| {
            let taken = sqlx::query(TAKE_FROM_ALLOWANCE)
                .bind(i64::from(by.0))
                .execute(&mut *tx)
                .await?;
            if taken.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(CREATE)
                .bind(code)
                .bind(i64::from(by.0))
                .bind(i64::from(at.0))
                .bind(expires_at.map(|at| i64::from(at.0)))
                .bind(1_i64)
                .execute(&mut *tx)
                .await?;
            true
        })
    }

    /// Writes down one code of somebody who needs no allowance.
    pub async fn create_invite(
        &self,
        code: &str,
        by: UserId,
        at: UnixTime,
        expires_at: Option<UnixTime>,
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(CREATE)
                .bind(code)
                .bind(i64::from(by.0))
                .bind(i64::from(at.0))
                .bind(expires_at.map(|at| i64::from(at.0)))
                .bind(0_i64)
                .execute(&mut *tx)
                .await?;
        })
    }

    /// A member's codes, newest first: those before the one of that number.
    pub async fn invites(&self, by: UserId, before: i64, limit: u32) -> Result<Vec<Invite>> {
        let rows: Vec<InviteRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(i64::from(by.0))
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Invite::try_from).collect()
    }

    /// Takes one of a member's own codes back, and gives them what it took from their allowance. `false`: somebody has
    /// used it, it was revoked before, or it expired and has been given back.
    pub async fn revoke_invite(&self, code: &str, by: UserId, at: UnixTime) -> Result<bool> {
        in_transaction!(self, |tx| {
            let revoked: Option<(i64,)> = sqlx::query_as(REVOKE)
                .bind(i64::from(at.0))
                .bind(code)
                .bind(i64::from(by.0))
                .fetch_optional(&mut *tx)
                .await?;
            let Some((cost,)) = revoked else {
                let theirs: i64 = sqlx::query_scalar(IS_THEIRS)
                    .bind(code)
                    .bind(i64::from(by.0))
                    .fetch_one(&mut *tx)
                    .await?;
                return match theirs {
                    0 => Err(StoreError::NotFound {
                        what: "invite code",
                    }),
                    _ => Ok(false),
                };
            };
            sqlx::query(GIVE_BACK)
                .bind(cost)
                .bind(i64::from(by.0))
                .execute(&mut *tx)
                .await?;
            true
        })
    }

    /// Whom a member brought, whom those brought, and so on to `depth`, nearest first and `limit` at most.
    pub async fn invite_tree(&self, root: UserId, depth: u32, limit: u32) -> Result<Vec<Invitee>> {
        let rows: Vec<InviteeRow> = reading!(self, |pool| {
            sqlx::query_as(TREE)
                .bind(i64::from(root.0))
                .bind(i64::from(depth))
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Invitee::try_from).collect()
    }
}

impl TryFrom<InviteRow> for Invite {
    type Error = StoreError;

    fn try_from(row: InviteRow) -> Result<Self> {
        let time = |at: Option<i64>, column| at.map(|at| columns::time(at, column)).transpose();
        Ok(Self {
            id: row.id,
            code: row.code,
            created_at: columns::time(row.created_at, "invites.created_at")?,
            used_at: time(row.used_at, "invites.used_at")?,
            used_by: row.used_by,
            expires_at: time(row.expires_at, "invites.expires_at")?,
            revoked_at: time(row.revoked_at, "invites.revoked_at")?,
        })
    }
}

impl TryFrom<InviteeRow> for Invitee {
    type Error = StoreError;

    fn try_from(row: InviteeRow) -> Result<Self> {
        Ok(Self {
            id: UserId(columns::id(row.id, "users.id")?),
            username: row.username,
            invited_by: UserId(columns::id(row.invited_by, "users.invited_by")?),
            class: UserClass::parse(&row.class)?,
            status: MemberStatus::parse(&row.status)?,
            created_at: columns::time(row.created_at, "users.created_at")?,
            depth: columns::id(row.depth, "depth")?,
        })
    }
}
