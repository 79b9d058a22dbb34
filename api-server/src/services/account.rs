//! A member's own account.

use serde::{Deserialize, Serialize};
use store::{User, UserRole};
use tracker_core::registry::{MemberStatus, UserClass};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::services::hit_and_runs;
use crate::site::Site;
use crate::time::Time;
use crate::{names, passwords};

/// What a member has earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Everybody, to begin with.
    Newbie,
    /// Has been here for a while, and shares.
    Member,
    /// Shares well.
    Trusted,
    /// Keeps the site alive.
    Elite,
}

/// What somebody may do on the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Announce and read.
    Member,
    /// And add torrents.
    Uploader,
    /// And moderate.
    Staff,
    /// And everything else.
    Admin,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Yes.
    Active,
    /// No: banned, or closed by its owner.
    Disabled,
}

/// Who has just registered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Newcomer {
    /// Their number.
    pub id: u32,
    /// As they wrote it.
    pub username: String,
    /// What they have earned.
    pub user_class: Class,
}

/// A member's own account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profile {
    /// Their number.
    pub id: u32,
    /// As they wrote it.
    pub username: String,
    /// Where mails go; `null`: nowhere.
    #[schema(required)]
    pub email: Option<String>,
    /// What they have earned.
    pub user_class: Class,
    /// What they may do.
    pub role: Role,
    /// When.
    pub joined_at: Time,
    /// Codes they may still give out.
    pub invites: u32,
    /// Whether they want mail about what matters: class, ratio, hit-and-runs, changes to their account.
    pub mail: bool,
}

/// What a member changes of their account. What isn't there stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileChange {
    /// Another address; needs `current_password`.
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// Another password, 8 to 256 characters; needs `current_password`, and ends every login and every API key.
    #[schema(min_length = 8, max_length = 256)]
    pub password: Option<String>,
    /// Whether you want mail about what matters: class, ratio, hit-and-runs, changes to your account.
    pub mail: Option<bool>,
    /// The password as it is.
    pub current_password: Option<String>,
}

/// What an account shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// Bytes that the tracker counted, before any policy.
    pub uploaded: u64,
    /// Bytes that the tracker counted, before any policy.
    pub downloaded: u64,
    /// Bytes that count, with upload factors.
    pub credited_uploaded: u64,
    /// Bytes that count, without freeleech.
    pub credited_downloaded: u64,
    /// `credited_uploaded` over `credited_downloaded`; `null`: nothing was downloaded.
    #[schema(required)]
    pub ratio: Option<f64>,
    /// Credits, in thousandths.
    pub credits_milli: i64,
    /// Torrents they seed now.
    pub seeding: u64,
    /// Torrents they download now.
    pub leeching: u64,
    /// Torrents they have finished.
    pub snatches: u64,
    /// Seconds that their clients seeded, added up over torrents.
    pub seed_time_secs: u64,
    /// Torrents they took, and didn't give back in time.
    pub hit_and_runs: u64,
}

pub(crate) async fn change(
    site: &Site,
    user: &User,
    change: ProfileChange,
) -> Result<Profile, Problem> {
    let mut wrong = Problem::INVALID;
    if let Some(Err(right)) = change.email.as_deref().map(names::check_email) {
        wrong = wrong.and("email", right);
    }
    if let Some(Err(right)) = change.password.as_deref().map(passwords::check) {
        wrong = wrong.and("password", right);
    }
    wrong.unless_none()?;
    if change.email.is_some() || change.password.is_some() {
        let current = change.current_password.unwrap_or_default();
        if current.chars().count() > passwords::MAX_CHARS
            || !passwords::is_right_in_turn(current, user.password_hash.clone()).await?
        {
            return Err(Problem::invalid(
                "current_password",
                "your password as it is",
            ));
        }
    }
    if let Some(email) = &change.email {
        site.store.set_email(user.id, Some(email)).await?;
    }
    if let Some(password) = change.password {
        let hash = passwords::hash_in_turn(password).await?;
        site.store.set_password(user.id, &hash, site.now()).await?;
    }
    if let Some(mail) = change.mail {
        site.store.set_mail(user.id, mail).await?;
    }
    let found = site.store.user(user.id).await?;
    Ok(found.ok_or(Problem::NOT_FOUND)?.into())
}

pub(crate) async fn stats(site: &Site, user: &User) -> Result<StatsView, Problem> {
    let stats = site.store.stats(user.id).await?;
    let hit_and_runs = hit_and_runs::count(site, user.id).await?;
    let (uploaded, downloaded) = (stats.totals.uploaded, stats.totals.downloaded);
    Ok(StatsView {
        uploaded,
        downloaded,
        credited_uploaded: stats.credited.uploaded,
        credited_downloaded: stats.credited.downloaded,
        ratio: ratio(stats.credited.uploaded, stats.credited.downloaded),
        credits_milli: stats.credits_milli,
        seeding: stats.seeding,
        leeching: stats.leeching,
        snatches: stats.snatches,
        seed_time_secs: stats.seeded_secs,
        hit_and_runs,
    })
}

/// To the thousandth, as far as people read it.
pub(crate) fn ratio(uploaded: u64, downloaded: u64) -> Option<f64> {
    (downloaded > 0).then(|| (uploaded as f64 / downloaded as f64 * 1000.0).round() / 1000.0)
}

impl From<User> for Newcomer {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username,
            user_class: user.class.into(),
        }
    }
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username,
            email: user.email,
            user_class: user.class.into(),
            role: user.role.into(),
            joined_at: user.created_at.into(),
            invites: user.invites,
            mail: user.mail,
        }
    }
}

impl From<UserClass> for Class {
    fn from(class: UserClass) -> Self {
        match class {
            UserClass::Newbie => Self::Newbie,
            UserClass::Member => Self::Member,
            UserClass::Trusted => Self::Trusted,
            UserClass::Elite => Self::Elite,
        }
    }
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Member => Self::Member,
            UserRole::Uploader => Self::Uploader,
            UserRole::Staff => Self::Staff,
            UserRole::Admin => Self::Admin,
        }
    }
}

impl From<MemberStatus> for Status {
    fn from(status: MemberStatus) -> Self {
        match status {
            MemberStatus::Active => Self::Active,
            MemberStatus::Disabled => Self::Disabled,
        }
    }
}

impl From<Class> for UserClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Newbie => Self::Newbie,
            Class::Member => Self::Member,
            Class::Trusted => Self::Trusted,
            Class::Elite => Self::Elite,
        }
    }
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Uploader => Self::Uploader,
            Role::Staff => Self::Staff,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<Status> for MemberStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Disabled => Self::Disabled,
        }
    }
}
