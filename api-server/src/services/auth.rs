//! Registering, logging in, staying in, and out again.

use serde::{Deserialize, Serialize};
use store::{LoginId, NewUser, Refreshed, StoreError, User, UserRole};
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::{MemberStatus, UserClass};
use utoipa::ToSchema;

use crate::credentials::{ACCESS_SECS, REFRESH_SECS};
use crate::problem::Problem;
use crate::site::Site;
use crate::{names, passwords};

/// Who wants to become a member.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// 3 to 32 letters, digits, `_`, `-` or `.`; Ann and ann are one name.
    #[schema(
        min_length = 3,
        max_length = 32,
        pattern = "^[A-Za-z0-9_.-]+$",
        example = "ann"
    )]
    pub username: String,
    /// Where mails go.
    #[schema(max_length = 254, example = "ann@example.org")]
    pub email: String,
    /// 8 to 256 characters.
    #[schema(min_length = 8, max_length = 256, example = "correct horse battery")]
    pub password: String,
    /// From a member or the operator; good once.
    #[schema(example = "pZ3kVn9sQwT7yRb2HxMd")]
    pub invite_code: String,
}

/// A member's name and password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// In any case.
    #[schema(example = "ann")]
    pub username: String,
    /// As it was set.
    #[schema(example = "correct horse battery")]
    pub password: String,
}

/// A refresh token.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The last one that was given out.
    pub refresh: String,
}

/// What a login gets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// To be sent as `Authorization: Bearer …`.
    pub access: String,
    /// For the next pair, once. Used twice, it ends the login.
    pub refresh: String,
    /// Seconds that `access` is good for.
    #[schema(example = 900)]
    pub expires_in: u32,
}

/// Makes a member of whoever brings a good invite code.
pub(crate) async fn register(site: &Site, new: Registration) -> Result<User, Problem> {
    let mut wrong = Problem::INVALID;
    if let Err(right) = names::check(&new.username) {
        wrong = wrong.and("username", right);
    }
    if let Err(right) = names::check_email(&new.email) {
        wrong = wrong.and("email", right);
    }
    if let Err(right) = passwords::check(&new.password) {
        wrong = wrong.and("password", right);
    }
    wrong.unless_none()?;
    let bad_code = || {
        Problem::invalid(
            "invite_code",
            "a code that is right, unused, and not past its time",
        )
    };
    // Before the password is hashed: whoever guesses codes doesn't keep us busy.
    if !site
        .store
        .is_good_invite(&new.invite_code, site.now())
        .await?
    {
        return Err(bad_code());
    }
    let user = NewUser {
        username: new.username,
        email: Some(new.email),
        password_hash: Some(passwords::hash_in_turn(new.password).await?),
        role: UserRole::Member,
        class: UserClass::Newbie,
        passkey: None,
        created_at: site.now(),
    };
    let registered = site.store.register_user(&user, &new.invite_code).await;
    let id = registered.map_err(|error| match error {
        StoreError::NotFound {
            what: "invite code",
        } => bad_code(),
        error => error.into(),
    })?;
    find(site, id).await
}

/// A login, and its first tokens.
pub(crate) async fn log_in(site: &Site, login: Login) -> Result<Tokens, Problem> {
    // Nobody has a longer one, and hashing it would keep us busy.
    if login.password.chars().count() > passwords::MAX_CHARS {
        return Err(Problem::WRONG_CREDENTIALS);
    }
    let user = site.store.find_user(&login.username).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let is_right = passwords::is_right_in_turn(login.password, hash.clone()).await?;
    let (user, hash) = user
        .zip(hash)
        .filter(|_| is_right)
        .ok_or(Problem::WRONG_CREDENTIALS)?;
    if user.status == MemberStatus::Disabled {
        return Err(Problem::DISABLED);
    }
    let now = site.now();
    let login = site
        .store
        .create_login(user.id, &hash, now, end(now))
        .await?;
    // Their password was changed, or they were disabled, while it was compared.
    let login = login.ok_or(Problem::WRONG_CREDENTIALS)?;
    tokens(site, login, 0, now)
}

/// The next pair.
pub(crate) async fn refresh(site: &Site, token: &str) -> Result<Tokens, Problem> {
    let now = site.now();
    let read = site.credentials.read_refresh(token);
    let (login, generation) = read.ok_or(Problem::BAD_REFRESH)?;
    let refreshed = site
        .store
        .refresh_login(login, generation, now, end(now))
        .await?;
    match refreshed {
        Refreshed::To(generation) => tokens(site, login, generation, now),
        Refreshed::Over => Err(Problem::BAD_REFRESH),
        Refreshed::Reused => {
            tracing::warn!(
                login = login.0,
                "a refresh token was used twice: its login is over"
            );
            Err(Problem::BAD_REFRESH.detail("it was used before, so this login is over"))
        }
    }
}

/// Ends the caller's login.
pub(crate) async fn log_out(site: &Site, login: LoginId) -> Result<(), Problem> {
    Ok(site.store.revoke_login(login, site.now()).await?)
}

async fn find(site: &Site, id: UserId) -> Result<User, Problem> {
    site.store.user(id).await?.ok_or(Problem::NOT_FOUND)
}

fn end(now: UnixTime) -> UnixTime {
    UnixTime(now.0.saturating_add(REFRESH_SECS))
}

fn tokens(site: &Site, login: LoginId, generation: u32, now: UnixTime) -> Result<Tokens, Problem> {
    Ok(Tokens {
        access: site.credentials.access(login, now)?,
        refresh: site.credentials.refresh(login, generation, now)?,
        expires_in: ACCESS_SECS,
    })
}
