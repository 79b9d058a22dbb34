//! Freeleech and upload factors: what bytes count, for whom, from when to when.

use economy::window::{Scope, Window};
use serde::{Deserialize, Serialize};
use store::{EndedPolicy, NewPolicy, StoredPolicy, User};
use tracker_core::ids::InfoHash;
use tracker_core::registry::UserClass;
use utoipa::ToSchema;

use crate::names;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// Whom a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyScope {
    /// Everybody and everything.
    Global,
    /// Members of a class.
    Class,
    /// Whatever is moved in a torrent.
    Torrent,
    /// Whatever a member moves.
    User,
}

/// A policy to be. Of all that hold for a member, the best counts: the least of `download_percent`, the most of
/// `upload_percent`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// Whom it is for.
    pub scope: PolicyScope,
    /// The class, the info hash or the username that it is for; nothing when it is global.
    #[serde(default)]
    #[schema(max_length = 64, example = "c9e15763f722f23e98a29decdfae341b98d53056")]
    pub target: Option<String>,
    /// How much of a downloaded byte counts: 0 is freeleech.
    #[schema(minimum = 0, maximum = 100, example = 0)]
    pub download_percent: u16,
    /// How much of an uploaded byte counts: 200 is double.
    #[schema(minimum = 100, maximum = 1000, example = 100)]
    pub upload_percent: u16,
    /// The first second; `null`: now.
    #[serde(default)]
    pub starts_at: Option<Time>,
    /// The first second in which it no longer holds; `null`: until it is ended.
    #[serde(default)]
    pub ends_at: Option<Time>,
}

/// A policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyView {
    /// Its number.
    pub id: i64,
    /// Whom it is for.
    pub scope: PolicyScope,
    /// The class, the info hash or the username that it is for; `null`: it is global.
    #[schema(required)]
    pub target: Option<String>,
    /// How much of a downloaded byte counts.
    pub download_percent: u16,
    /// How much of an uploaded byte counts.
    pub upload_percent: u16,
    /// The first second.
    pub starts_at: Time,
    /// The first second in which it no longer holds; `null`: until it is ended.
    #[schema(required)]
    pub ends_at: Option<Time>,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: Time,
}

pub(crate) async fn list(site: &Site, paging: &Paging) -> Result<Page<PolicyView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.policies(before, limit + 1).await?;
    Ok(Page::new(rows, limit, |row| [row.id], PolicyView::from))
}

/// What was announced already stays as it is: a policy can't begin in the past.
pub(crate) async fn create(
    site: &Site,
    actor: &User,
    asked: PolicyRequest,
) -> Result<PolicyView, Problem> {
    let now = site.now();
    let starts_at = asked.starts_at.map_or(now, |start| start.0);
    let mut wrong = Problem::INVALID;
    if starts_at < now {
        wrong = wrong.and("starts_at", "a time to come, or nothing for now");
    }
    if asked.ends_at.is_some_and(|end| end.0 <= starts_at) {
        wrong = wrong.and("ends_at", "a time after `starts_at`");
    }
    if asked.download_percent > 100 {
        wrong = wrong.and("download_percent", "0 to 100");
    }
    if !(100..=1000).contains(&asked.upload_percent) {
        wrong = wrong.and("upload_percent", "100 to 1000");
    }
    if asked.download_percent == 100 && asked.upload_percent == 100 {
        wrong = wrong.and(
            "download_percent",
            "less than 100, or more in `upload_percent`",
        );
    }
    wrong.unless_none()?;
    let (scope, info_hash, username) = target(site, &asked).await?;
    let window = Window {
        scope,
        download_percent: asked.download_percent,
        upload_percent: asked.upload_percent,
        starts_at,
        ends_at: asked.ends_at.map(|end| end.0),
    };
    let policy = StoredPolicy {
        id: 0,
        window,
        info_hash,
        username,
        created_by: actor.username.clone(),
        created_at: now,
    };
    let view = PolicyView::from(policy);
    let description = describe(&view);
    let made = site
        .store
        .create_policy(&window, &description, actor.id, now);
    match made.await? {
        NewPolicy::Made(id) => Ok(PolicyView { id, ..view }),
        NewPolicy::Overlaps(other) => {
            let text = format!("policy {other} is for the same at the same time: end it first");
            Err(Problem::CONFLICT.detail(text))
        }
        NewPolicy::Full => Err(Problem::CONFLICT.detail("there are 1000 policies already")),
    }
}

pub(crate) async fn end(site: &Site, actor: &User, id: i64) -> Result<(), Problem> {
    match site.store.end_policy(id, actor.id, site.now()).await? {
        EndedPolicy::Ended | EndedPolicy::Deleted => Ok(()),
        EndedPolicy::Over => Err(Problem::CONFLICT.detail("it has ended already")),
    }
}

/// As the audit has it.
fn describe(policy: &PolicyView) -> String {
    let target = policy.target.as_deref().unwrap_or("everybody");
    let (down, up) = (policy.download_percent, policy.upload_percent);
    format!("{target}: downloads count {down} %, uploads {up} %")
}

type Target = (Scope, Option<InfoHash>, Option<String>);

async fn target(site: &Site, asked: &PolicyRequest) -> Result<Target, Problem> {
    let wrong = |right: &str| Err(Problem::invalid("target", right));
    match (asked.scope, asked.target.as_deref()) {
        (PolicyScope::Global, None) => Ok((Scope::Global, None, None)),
        (PolicyScope::Global, Some(_)) => wrong("nothing, as it is for everybody"),
        (PolicyScope::Class, target) => {
            let class = UserClass::ALL
                .into_iter()
                .find(|class| Some(class.name()) == target);
            match class {
                Some(class) => Ok((Scope::Class(class), None, None)),
                None => wrong("newbie, member, trusted or elite"),
            }
        }
        (PolicyScope::Torrent, target) => {
            let hash: Option<InfoHash> = target.and_then(|hash| hash.parse().ok());
            let found = match hash {
                Some(hash) => site.store.torrent_detail(&hash).await?,
                None => None,
            };
            match found {
                Some(found) => {
                    let torrent = found.listed.id;
                    Ok((Scope::Torrent(torrent), Some(found.listed.info_hash), None))
                }
                None => wrong("the info hash of a torrent that is here"),
            }
        }
        (PolicyScope::User, target) => {
            let name = target.filter(|name| names::check(name).is_ok());
            let found = match name {
                Some(name) => site.store.find_user(name).await?,
                None => None,
            };
            match found {
                Some(user) => Ok((Scope::User(user.id), None, Some(user.username))),
                None => wrong("the name of a member"),
            }
        }
    }
}

impl From<StoredPolicy> for PolicyView {
    fn from(policy: StoredPolicy) -> Self {
        let Window {
            scope,
            download_percent,
            upload_percent,
            starts_at,
            ends_at,
        } = policy.window;
        let (scope, target) = match scope {
            Scope::Global => (PolicyScope::Global, None),
            Scope::Class(class) => (PolicyScope::Class, Some(class.name().to_owned())),
            Scope::Torrent(_) => {
                let hash = policy.info_hash.map(|hash| hash.to_string());
                (PolicyScope::Torrent, hash)
            }
            Scope::User(_) => (PolicyScope::User, policy.username),
        };
        Self {
            id: policy.id,
            scope,
            target,
            download_percent,
            upload_percent,
            starts_at: starts_at.into(),
            ends_at: ends_at.map(Time),
            created_by: policy.created_by,
            created_at: policy.created_at.into(),
        }
    }
}
