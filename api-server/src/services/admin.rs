//! What staff see of members, and what admins change.

use serde::{Deserialize, Serialize};
use store::{User, UserChange, UserFilter, UserRole};
use tracker_core::ids::UserId;
use tracker_core::registry::MemberStatus;
use utoipa::{IntoParams, ToSchema};

use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::account::{self, Class, Role, StatsView, Status};
use crate::site::Site;
use crate::time::Time;

/// Invites that an admin may give somebody at most.
const INVITES_MAX: u32 = 10_000;

/// Which members are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct UserQuery {
    /// How their name begins, in any case.
    #[param(max_length = 64)]
    pub search: Option<String>,
    /// Those of this status alone.
    #[param(inline)]
    pub status: Option<Status>,
    /// Those of this role alone.
    #[param(inline)]
    pub role: Option<Role>,
}

/// A member, in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
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
    /// Whether their account may be used.
    pub status: Status,
    /// When.
    pub joined_at: Time,
    /// Codes they may still give out.
    pub invites: u32,
}

/// A member, with all there is to know.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserDetail {
    /// Who they are.
    #[serde(flatten)]
    pub user: UserView,
    /// Who brought them; `null`: the operator.
    #[schema(required)]
    pub invited_by: Option<Inviter>,
    /// What the tracker has counted for them.
    pub stats: StatsView,
    /// What they have.
    pub counts: Counts,
}

/// Who brought a member.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Inviter {
    /// Their number.
    pub id: u32,
    /// As they wrote it.
    pub username: String,
}

/// What a member has, counted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Counts {
    /// Members they brought.
    pub invited: u64,
    /// Announce tokens that aren't revoked.
    pub tokens: u64,
    /// API keys that aren't revoked.
    pub api_keys: u64,
    /// Logins that aren't over.
    pub logins: u64,
}

/// What an admin changes of a member. What isn't there stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserPatch {
    /// Disabled, they are logged out everywhere, their API keys are over, and trackers refuse them within two seconds.
    pub status: Option<Status>,
    /// What they may do.
    pub role: Option<Role>,
    /// What they have earned.
    pub user_class: Option<Class>,
    /// Codes they may still give out.
    #[schema(maximum = 10_000)]
    pub invites: Option<u32>,
}

pub(crate) async fn list(
    site: &Site,
    asked: UserQuery,
    paging: &Paging,
) -> Result<Page<UserView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [after] = cursor.unwrap_or([0]);
    let is_fit = |text: &str| text.chars().count() <= 64 && !text.chars().any(char::is_control);
    if !asked.search.as_deref().is_none_or(is_fit) {
        return Err(Problem::invalid("search", "the beginning of a name"));
    }
    let filter = UserFilter {
        name_prefix: asked.search.filter(|prefix| !prefix.is_empty()),
        status: asked.status.map(MemberStatus::from),
        role: asked.role.map(UserRole::from),
    };
    let rows = site.store.find_users(&filter, after, limit + 1).await?;
    Ok(Page::new(
        rows,
        limit,
        |user| [user.id.0.into()],
        UserView::from,
    ))
}

pub(crate) async fn user(site: &Site, id: UserId) -> Result<UserDetail, Problem> {
    let user = find(site, id).await?;
    let invited_by = match user.invited_by {
        Some(inviter) => site.store.user(inviter).await?,
        None => None,
    };
    let counts = site.store.user_counts(id, site.now()).await?;
    Ok(UserDetail {
        stats: account::stats(site, &user).await?,
        user: user.into(),
        invited_by: invited_by.map(|inviter| Inviter {
            id: inviter.id.0,
            username: inviter.username,
        }),
        counts: Counts {
            invited: counts.invited,
            tokens: counts.tokens,
            api_keys: counts.api_keys,
            logins: counts.logins,
        },
    })
}

/// Who changes themselves may lock themselves out, which somebody else has to mean.
pub(crate) async fn change(
    site: &Site,
    actor: &User,
    id: UserId,
    patch: UserPatch,
) -> Result<UserDetail, Problem> {
    if patch.invites.is_some_and(|invites| invites > INVITES_MAX) {
        let right = format!("{INVITES_MAX} at most");
        return Err(Problem::invalid("invites", right));
    }
    let change = UserChange {
        status: patch.status.map(MemberStatus::from),
        role: patch.role.map(UserRole::from),
        class: patch.user_class.map(Class::into),
        invites: patch.invites,
    };
    let locks_out = change.status == Some(MemberStatus::Disabled)
        || change.role.is_some_and(|role| role < actor.role);
    if id == actor.id && locks_out {
        return Err(
            Problem::CONFLICT.detail("nobody disables or demotes themselves: another admin can")
        );
    }
    let is_change = change != UserChange::default();
    if is_change
        && !site
            .store
            .change_user(id, &change, actor.id, site.now())
            .await?
    {
        return Err(Problem::CONFLICT.detail("they are the last active admin"));
    }
    user(site, id).await
}

async fn find(site: &Site, id: UserId) -> Result<User, Problem> {
    site.store.user(id).await?.ok_or(Problem::NOT_FOUND)
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username,
            email: user.email,
            user_class: user.class.into(),
            role: user.role.into(),
            status: user.status.into(),
            joined_at: user.created_at.into(),
            invites: user.invites,
        }
    }
}
