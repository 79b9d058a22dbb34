//! Members: who they are, how they log in, and what the tracker has counted for them.

use sqlx::FromRow;
use tracker_core::accounting::Counters;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::{MemberStatus, UserClass};

use crate::Store;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::logins::log_out_everywhere;
use crate::notifications::{NotificationKind, notify};
use crate::store::{in_transaction, reading};

/// What a member may do on the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserRole {
    /// Announce and read.
    Member,
    /// And add torrents.
    Uploader,
    /// And moderate.
    Staff,
    /// And everything else.
    Admin,
}

/// A member to be. The username has been validated.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Unique, whatever its case.
    pub username: String,
    /// Unique too, where there is one.
    pub email: Option<String>,
    /// In PHC form; `None` can't log in until there is one.
    pub password_hash: Option<String>,
    /// What they may do.
    pub role: UserRole,
    /// What they have earned.
    pub class: UserClass,
    /// The key they had on another tracker.
    pub passkey: Option<[u8; 16]>,
    /// When they joined.
    pub created_at: UnixTime,
}

/// A member, as the site sees one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Row number.
    pub id: UserId,
    /// As they wrote it.
    pub username: String,
    /// As they wrote it.
    pub email: Option<String>,
    /// In PHC form.
    pub password_hash: Option<String>,
    /// What they may do.
    pub role: UserRole,
    /// What they have earned.
    pub class: UserClass,
    /// May they do anything at all?
    pub status: MemberStatus,
    /// The key they had on another tracker.
    pub passkey: Option<[u8; 16]>,
    /// When they joined.
    pub created_at: UnixTime,
    /// Codes they may still give out.
    pub invites: u32,
    /// Who brought them; `None`: the operator.
    pub invited_by: Option<UserId>,
    /// Whether they want mail.
    pub mail: bool,
}

/// What an account shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that the tracker counted, before any policy.
    pub totals: Counters,
    /// Bytes that count, as policies have it.
    pub credited: Counters,
    /// Seconds that their clients seeded, added up over torrents.
    pub seeded_secs: u64,
    /// In thousandths.
    pub credits_milli: i64,
    /// Swarms they seed in now.
    pub seeding: u64,
    /// Swarms they download in now.
    pub leeching: u64,
    /// Torrents they have finished.
    pub snatches: u64,
}

/// [`UserRow`]'s, of a table that is called `users` in the statement.
macro_rules! user_columns {
    () => {
        "users.id, users.username, users.email, users.password_hash, users.role, users.class, users.status, users.passkey, \
         users.created_at, users.invites, users.invited_by, users.mail"
    };
}

pub(crate) use user_columns;

const CREATE: &str = "
    insert into users (
        username, username_key, email, email_key, password_hash, class, role, passkey, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    returning id";

const FIND: &str = concat!(
    "select ",
    user_columns!(),
    " from users where username_key = $1"
);

const FIND_BY_ID: &str = concat!("select ", user_columns!(), " from users where id = $1");

/// Looks at once whether the code is good, so that nobody else can use it while the member is made.
const TAKE_INVITE: &str = "
    update invites
    set used_at = $1
    where code = $2
        and used_at is null
        and revoked_at is null
        and given_back_at is null
        and (expires_at is null or expires_at > $1)
    returning created_by";

/// As [`TAKE_INVITE`] looks.
const IS_GOOD_INVITE: &str = "
    select count(*)
    from invites
    where code = $2
        and used_at is null
        and revoked_at is null
        and given_back_at is null
        and (expires_at is null or expires_at > $1)";

const INVITE_USED_BY: &str = "
    update invites
    set used_by = $1
    where code = $2";

const INVITED_BY: &str = "
    update users
    set invited_by = $1
    where id = $2";

const SET_EMAIL: &str = "
    update users
    set email = $1, email_key = $2
    where id = $3";

const SET_MAIL: &str = "
    update users
    set mail = $1
    where id = $2";

const SET_PASSWORD: &str = "
    update users
    set password_hash = $1
    where id = $2";

/// Keeps others who lock the same member waiting until the transaction ends: what is counted in it stays so. Nothing
/// changes; SQLite, which has one writer, knows no other words for it.
pub(crate) const LOCK: &str = "
    update users
    set invites = invites
    where id = $1";

const STATS: &str = "
    select uploaded, downloaded, credited_uploaded, credited_downloaded, credits_milli,
        users.pruned_seed_secs
            + (select cast(coalesce(sum(sessions.seeded_secs), 0) as bigint) from sessions where sessions.user_id = $1),
        (select count(distinct sessions.torrent_id) from sessions where sessions.user_id = $1 and active and sessions.role = 'seeder'),
        (select count(distinct sessions.torrent_id) from sessions where sessions.user_id = $1 and active and sessions.role = 'leecher'),
        (select count(*) from snatches where snatches.user_id = $1)
    from users
    where id = $1";

const SET_PASSWORD_AND_ROLE: &str = "
    update users
    set password_hash = $1, role = $2
    where id = $3";

const SET_STATUS: &str = "
    update users
    set status = $1
    where id = $2";

const HAS_ADMIN: &str = "
    select count(*)
    from users
    where role = $1";

const TOTALS: &str = "
    select uploaded, downloaded
    from users
    where id = $1";

/// A new member's row; its number.
macro_rules! insert {
    ($tx:ident, $new:expr) => {
        sqlx::query_scalar::<_, i64>(CREATE)
            .bind(&$new.username)
            .bind(unique_key(&$new.username))
            .bind(&$new.email)
            .bind($new.email.as_deref().map(unique_key))
            .bind(&$new.password_hash)
            .bind($new.class.word())
            .bind($new.role.word())
            .bind($new.passkey.as_ref().map(<[u8; 16]>::as_slice))
            .bind(i64::from($new.created_at.0))
            .fetch_one(&mut *$tx)
            .await?
    };
}

type StatsRow = (i64, i64, i64, i64, i64, i64, i64, i64, i64);

impl Store {
    /// Adds a member. `Duplicate` when the username, the email address or the passkey is taken.
    pub async fn create_user(&self, new: &NewUser) -> Result<UserId> {
        changing!(self, |tx, change| {
            let id = insert!(tx, new);
            let id = UserId(columns::id(id, "users.id")?);
            record_change!(tx, change, Changed::User(id), new.created_at);
            id
        })
    }

    /// Whether somebody can come with an invite code, as things stand. [`register_user`](Self::register_user) looks again.
    pub async fn is_good_invite(&self, code: &str, now: UnixTime) -> Result<bool> {
        let found: i64 = reading!(self, |pool| {
            sqlx::query_scalar(IS_GOOD_INVITE)
                .bind(i64::from(now.0))
                .bind(code)
                .fetch_one(pool)
                .await
        })?;
        Ok(found > 0)
    }

    /// Adds a member who comes with an invite code, which is used up. `NotFound` when the code is none, or no longer good.
    pub async fn register_user(&self, new: &NewUser, code: &str) -> Result<UserId> {
        changing!(self, |tx, change| {
            let invite: Option<(Option<i64>,)> = sqlx::query_as(TAKE_INVITE)
                .bind(i64::from(new.created_at.0))
                .bind(code)
                .fetch_optional(&mut *tx)
                .await?;
            let (inviter,) = invite.ok_or(StoreError::NotFound {
                what: "invite code",
            })?;
            let id = insert!(tx, new);
            sqlx::query(INVITE_USED_BY)
                .bind(id)
                .bind(code)
                .execute(&mut *tx)
                .await?;
            sqlx::query(INVITED_BY)
                .bind(inviter)
                .bind(id)
                .execute(&mut *tx)
                .await?;
            let id = UserId(columns::id(id, "users.id")?);
            if let Some(inviter) = inviter {
                let inviter = UserId(columns::id(inviter, "invites.created_by")?);
                let message = format!("{} came by an invite code of yours", new.username);
                notify!(
                    tx,
                    inviter,
                    NotificationKind::Invite,
                    message,
                    new.created_at
                );
            }
            record_change!(tx, change, Changed::User(id), new.created_at);
            id
        })
    }

    /// The member of that number.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        let row: Option<UserRow> = reading!(self, |pool| {
            sqlx::query_as(FIND_BY_ID)
                .bind(i64::from(id.0))
                .fetch_optional(pool)
                .await
        })?;
        row.map(User::try_from).transpose()
    }

    /// Gives a member another email address, or none. `Duplicate` when somebody else has it.
    pub async fn set_email(&self, user: UserId, email: Option<&str>) -> Result<()> {
        in_transaction!(self, |tx| {
            let updated = sqlx::query(SET_EMAIL)
                .bind(email)
                .bind(email.map(unique_key))
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "user")?;
        })
    }

    /// Whether a member wants mail.
    pub async fn set_mail(&self, user: UserId, mail: bool) -> Result<()> {
        in_transaction!(self, |tx| {
            let updated = sqlx::query(SET_MAIL)
                .bind(mail)
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "user")?;
        })
    }

    /// Gives a member a new password, and ends all of their logins and API keys: whoever stole one is out.
    pub async fn set_password(
        &self,
        user: UserId,
        password_hash: &str,
        at: UnixTime,
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            let updated = sqlx::query(SET_PASSWORD)
                .bind(password_hash)
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "user")?;
            log_out_everywhere!(tx, user, at);
        })
    }

    /// What an account shows.
    pub async fn stats(&self, user: UserId) -> Result<Stats> {
        let row: Option<StatsRow> = reading!(self, |pool| {
            sqlx::query_as(STATS)
                .bind(i64::from(user.0))
                .fetch_optional(pool)
                .await
        })?;
        let (uploaded, downloaded, up, down, credits_milli, seeded, seeding, leeching, snatches) =
            row.ok_or(StoreError::NotFound { what: "user" })?;
        Ok(Stats {
            totals: Counters {
                uploaded: columns::count(uploaded, "users.uploaded")?,
                downloaded: columns::count(downloaded, "users.downloaded")?,
            },
            credited: Counters {
                uploaded: columns::count(up, "users.credited_uploaded")?,
                downloaded: columns::count(down, "users.credited_downloaded")?,
            },
            seeded_secs: columns::count(seeded, "sessions.seeded_secs")?,
            credits_milli,
            seeding: columns::count(seeding, "sessions")?,
            leeching: columns::count(leeching, "sessions")?,
            snatches: columns::count(snatches, "snatches")?,
        })
    }

    /// The member of that name, whatever its case.
    pub async fn find_user(&self, username: &str) -> Result<Option<User>> {
        let row: Option<UserRow> = reading!(self, |pool| {
            sqlx::query_as(FIND)
                .bind(unique_key(username))
                .fetch_optional(pool)
                .await
        })?;
        row.map(User::try_from).transpose()
    }

    /// Gives a member a new password and role, and ends their logins and API keys, too. The tracker needs to know none of
    /// it.
    pub async fn set_password_and_role(
        &self,
        user: UserId,
        password_hash: &str,
        role: UserRole,
        at: UnixTime,
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            let updated = sqlx::query(SET_PASSWORD_AND_ROLE)
                .bind(password_hash)
                .bind(role.word())
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "user")?;
            log_out_everywhere!(tx, user, at);
        })
    }

    /// Lets a member announce, or no longer.
    pub async fn set_user_status(
        &self,
        user: UserId,
        status: MemberStatus,
        at: UnixTime,
    ) -> Result<()> {
        changing!(self, |tx, change| {
            let updated = sqlx::query(SET_STATUS)
                .bind(status.word())
                .bind(i64::from(user.0))
                .execute(&mut *tx)
                .await?;
            found_one(updated.rows_affected(), "user")?;
            record_change!(tx, change, Changed::User(user), at);
        })
    }

    /// Whether anybody may do everything.
    pub async fn has_admin(&self) -> Result<bool> {
        let admins: i64 = reading!(self, |pool| {
            sqlx::query_scalar(HAS_ADMIN)
                .bind(UserRole::Admin.word())
                .fetch_one(pool)
                .await
        })?;
        Ok(admins > 0)
    }

    /// The bytes that the tracker has counted for a member.
    pub async fn totals(&self, user: UserId) -> Result<Counters> {
        let row: Option<(i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(TOTALS)
                .bind(i64::from(user.0))
                .fetch_optional(pool)
                .await
        })?;
        let (uploaded, downloaded) = row.ok_or(StoreError::NotFound { what: "user" })?;
        Ok(Counters {
            uploaded: columns::count(uploaded, "users.uploaded")?,
            downloaded: columns::count(downloaded, "users.downloaded")?,
        })
    }
}

/// An update by primary key touches one row, or there is no such row.
pub(crate) fn found_one(rows: u64, what: &'static str) -> Result<()> {
    match rows {
        0 => Err(StoreError::NotFound { what }),
        _ => Ok(()),
    }
}

/// Here and not in SQL: SQLite's `lower` knows ASCII only.
fn unique_key(name: &str) -> String {
    name.to_lowercase()
}

#[derive(FromRow)]
pub(crate) struct UserRow {
    id: i64,
    username: String,
    email: Option<String>,
    password_hash: Option<String>,
    role: String,
    class: String,
    status: String,
    passkey: Option<Vec<u8>>,
    created_at: i64,
    invites: i64,
    invited_by: Option<i64>,
    mail: bool,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self> {
        Ok(Self {
            id: UserId(columns::id(row.id, "users.id")?),
            username: row.username,
            email: row.email,
            password_hash: row.password_hash,
            role: UserRole::parse(&row.role)?,
            class: UserClass::parse(&row.class)?,
            status: MemberStatus::parse(&row.status)?,
            passkey: columns::maybe_array(row.passkey, "users.passkey")?,
            created_at: columns::time(row.created_at, "users.created_at")?,
            invites: columns::id(row.invites, "users.invites")?,
            invited_by: row
                .invited_by
                .map(|id| columns::id(id, "users.invited_by").map(UserId))
                .transpose()?,
            mail: row.mail,
        })
    }
}

impl Word for UserRole {
    const ALL: &'static [Self] = &[Self::Member, Self::Uploader, Self::Staff, Self::Admin];
    const COLUMN: &'static str = "users.role";

    fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Uploader => "uploader",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
}
