//! What members are told.

use serde::{Deserialize, Serialize};
use store::{Notification, NotificationKind};
use tracker_core::ids::UserId;
use utoipa::{IntoParams, ToSchema};

use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// Which are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct NotificationQuery {
    /// Only what you haven't read.
    pub unread: bool,
}

/// Something that you are told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NotificationView {
    /// Its number: later ones are higher.
    pub id: i64,
    /// What it is about.
    pub kind: Kind,
    /// For people.
    pub message: String,
    /// When.
    pub created_at: Time,
    /// When you had read it; `null`: not yet.
    #[schema(required)]
    pub read_at: Option<Time>,
}

/// What it is about. More will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody gave you credits, or took some.
    Credits,
    /// Your class, role, invites or status was changed.
    Account,
    /// Somebody came by an invite code of yours.
    Invite,
    /// You go up a class, or down, or will.
    Class,
    /// Your ratio is too low, or no longer.
    Ratio,
    /// A torrent that you must give back.
    HitAndRun,
    /// A freeleech token of yours that is about to expire.
    Token,
}

/// What you have read.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// Everything up to this one: the highest `id` that you saw.
    #[schema(example = 17)]
    pub up_to: i64,
}

/// What was new to you.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Read {
    /// How many.
    pub marked: u64,
}

pub(crate) async fn list(
    site: &Site,
    user: UserId,
    asked: &NotificationQuery,
    paging: &Paging,
) -> Result<Page<NotificationView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site
        .store
        .notifications(user, before, asked.unread, limit + 1)
        .await?;
    Ok(Page::new(rows, limit, |row| [row.id], Into::into))
}

pub(crate) async fn read(site: &Site, user: UserId, asked: &ReadRequest) -> Result<Read, Problem> {
    let now = site.now();
    let marked = site
        .store
        .read_notifications(user, asked.up_to, now)
        .await?;
    Ok(Read { marked })
}

impl From<Notification> for NotificationView {
    fn from(row: Notification) -> Self {
        Self {
            id: row.id,
            kind: match row.kind {
                NotificationKind::Credits => Kind::Credits,
                NotificationKind::Account => Kind::Account,
                NotificationKind::Invite => Kind::Invite,
                NotificationKind::Class => Kind::Class,
                NotificationKind::Ratio => Kind::Ratio,
                NotificationKind::HitAndRun => Kind::HitAndRun,
                NotificationKind::Token => Kind::Token,
            },
            message: row.message,
            created_at: row.created_at.into(),
            read_at: row.read_at.map(Time),
        }
    }
}
