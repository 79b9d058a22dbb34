//! Invite codes, and whom they brought.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use store::{Invite, Invitee};
use tracker_core::ids::{UnixTime, UserId};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::page::{Page, Paging};
use crate::passwords;
use crate::problem::Problem;
use crate::services::account::{Class, Status};
use crate::services::tokens::expiry;
use crate::site::Site;
use crate::time::Time;

/// How far down a tree is shown.
const TREE_DEPTH: u32 = 10;

/// Members of a tree that are shown.
const TREE_MAX: u32 = 1000;

/// An invite code to be.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InviteRequest {
    /// Seconds until it expires. Never, if not given. If nobody has used it by then, it comes back to your allowance within a
    /// day.
    #[schema(minimum = 1, example = 604800)]
    pub expires_in: Option<u32>,
}

/// What has become of an invite code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteStatus {
    /// Somebody may still come with it.
    Open,
    /// Somebody has.
    Used,
    /// Its maker took it back.
    Revoked,
    /// Nobody came in time.
    Expired,
}

/// An invite code, as its maker sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteView {
    /// What a newcomer types in.
    #[schema(example = "pZ3kVn9sQwT7yRb2HxMd")]
    pub code: String,
    /// What has become of it.
    pub status: InviteStatus,
    /// When it was made.
    pub created_at: Time,
    /// When somebody came with it; `null`: nobody has.
    #[schema(required)]
    pub used_at: Option<Time>,
    /// Who came with it; `null`: nobody has.
    #[schema(required)]
    pub used_by: Option<String>,
    /// When it stops being good; `null`: never.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// Whom a member brought, and whom those brought.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteTree {
    /// Those whom they brought themselves, oldest first.
    pub invited: Vec<InviteNode>,
    /// Whether there are more than ten levels or a thousand members, of whom the outermost aren't shown.
    pub is_cut: bool,
}

/// A member of an invite tree.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteNode {
    /// Their number.
    pub id: u32,
    /// As they wrote it.
    pub username: String,
    /// What they have earned.
    pub user_class: Class,
    /// Whether their account may be used.
    pub status: Status,
    /// When.
    pub joined_at: Time,
    /// Those whom they brought, oldest first.
    #[schema(no_recursion)]
    pub invited: Vec<InviteNode>,
}

/// Staff need no allowance: they could give themselves one.
pub(crate) async fn create(
    site: &Site,
    caller: &Caller,
    asked: InviteRequest,
) -> Result<InviteView, Problem> {
    let now = site.now();
    let expires_at =
        expiry(now, asked.expires_in).map_err(|right| Problem::invalid("expires_in", right))?;
    let code = passwords::generate(&mut rand::rng());
    let (store, user) = (&site.store, &caller.user);
    if caller.is_staff() {
        store.create_invite(&code, user.id, now, expires_at).await?;
    } else if !store
        .create_invite_from_allowance(&code, user.id, now, expires_at)
        .await?
    {
        return Err(Problem::CONFLICT.detail("you have no invites left"));
    }
    Ok(InviteView {
        code,
        status: InviteStatus::Open,
        created_at: now.into(),
        used_at: None,
        used_by: None,
        expires_at: expires_at.map(Time),
    })
}

pub(crate) async fn list(
    site: &Site,
    user: UserId,
    paging: &Paging,
) -> Result<Page<InviteView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.invites(user, before, limit + 1).await?;
    let now = site.now();
    Ok(Page::new(
        rows,
        limit,
        |invite| [invite.id],
        |invite| view(invite, now),
    ))
}

pub(crate) async fn revoke(site: &Site, user: UserId, code: &str) -> Result<(), Problem> {
    // What can't be a code isn't worth a question, and Postgres keeps no NUL.
    if !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Problem::NOT_FOUND);
    }
    match site.store.revoke_invite(code, user, site.now()).await? {
        true => Ok(()),
        false => Err(Problem::CONFLICT.detail("this code has been used or revoked")),
    }
}

/// Of one's own, or of whomever staff ask for.
pub(crate) async fn tree(site: &Site, root: UserId) -> Result<InviteTree, Problem> {
    // One more of each, to know whether there are more.
    let store = &site.store;
    let found = store
        .invite_tree(root, TREE_DEPTH + 1, TREE_MAX + 1)
        .await?;
    let count = found.len();
    let shown = found.into_iter().take(TREE_MAX as usize);
    let shown: Vec<_> = shown
        .filter(|invitee| invitee.depth <= TREE_DEPTH)
        .collect();
    let is_cut = shown.len() < count;
    let mut children: HashMap<UserId, Vec<InviteNode>> = HashMap::new();
    // From the outermost in, so that whoever is taken has theirs already; from the newest, to be turned around below.
    for invitee in shown.into_iter().rev() {
        let mut invited = children.remove(&invitee.id).unwrap_or_default();
        invited.reverse();
        let inviter = invitee.invited_by;
        children
            .entry(inviter)
            .or_default()
            .push(node(invitee, invited));
    }
    let mut invited = children.remove(&root).unwrap_or_default();
    invited.reverse();
    Ok(InviteTree { invited, is_cut })
}

fn node(invitee: Invitee, invited: Vec<InviteNode>) -> InviteNode {
    InviteNode {
        id: invitee.id.0,
        username: invitee.username,
        user_class: invitee.class.into(),
        status: invitee.status.into(),
        joined_at: invitee.created_at.into(),
        invited,
    }
}

fn view(invite: Invite, now: UnixTime) -> InviteView {
    let status = if invite.used_at.is_some() {
        InviteStatus::Used
    } else if invite.revoked_at.is_some() {
        InviteStatus::Revoked
    } else if invite.expires_at.is_some_and(|end| end <= now) {
        InviteStatus::Expired
    } else {
        InviteStatus::Open
    };
    InviteView {
        code: invite.code,
        status,
        created_at: invite.created_at.into(),
        used_at: invite.used_at.map(Time),
        used_by: invite.used_by,
        expires_at: invite.expires_at.map(Time),
    }
}
