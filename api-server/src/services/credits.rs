//! Credits: what members have, and how it came.

use economy::policy::{ClassRules, Privileges};
use serde::{Deserialize, Serialize};
use store::{CreditEntry, CreditKind, User};
use tracker_core::ids::UserId;
use tracker_core::registry::UserClass;
use utoipa::ToSchema;

use crate::names;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::account::{Class, ratio};
use crate::site::Site;
use crate::time::Time;

/// The most that one grant gives, or one penalty takes.
pub(super) const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// What a member has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Balance {
    /// Credits, in thousandths.
    pub credits_milli: i64,
    /// Bytes that count, uploaded over downloaded; `null`: nothing was downloaded.
    #[schema(required)]
    pub ratio: Option<f64>,
    /// Bytes that the tracker counted.
    pub uploaded: u64,
    /// Bytes that the tracker counted.
    pub downloaded: u64,
    /// What they should mind, for people; `null`: nothing.
    #[schema(required)]
    pub warning: Option<String>,
}

/// Why a balance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// An admin gave it.
    Grant,
    /// An admin took it.
    Penalty,
    /// For uploading, by the hour.
    Upload,
    /// For downloading, by the hour.
    Download,
    /// For seeding, by the hour.
    Seeding,
    /// You bought something in the shop.
    Purchase,
    /// One member gave it to another.
    Gift,
}

/// One change of a balance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Transaction {
    /// Its number: later ones are higher.
    pub id: i64,
    /// Why.
    pub kind: EntryKind,
    /// Credits, in thousandths; below zero when they were taken.
    pub amount_milli: i64,
    /// What there was afterwards, in thousandths.
    pub balance_milli: i64,
    /// The torrent it is for; `null`: for none.
    #[schema(required)]
    pub info_hash: Option<String>,
    /// For people.
    pub note: String,
    /// When.
    pub created_at: Time,
}

/// A grant or a penalty.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditChange {
    /// In thousandths; below zero takes them. Not zero.
    #[schema(
        minimum = -1_000_000_000_000_000_i64,
        maximum = 1_000_000_000_000_000_i64,
        example = 5000
    )]
    pub amount_milli: i64,
    /// The member reads it.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "The best bug report of the month"
    )]
    pub reason: String,
}

/// What members of a class are and have.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserClassView {
    /// Its name.
    pub name: Class,
    /// The higher, the better.
    #[schema(minimum = 1, maximum = 4)]
    pub rank: u8,
    /// For people.
    #[schema(value_type = String)]
    pub description: &'static str,
    /// What it takes to rise to it, all of it.
    pub thresholds: Thresholds,
    /// What it gives.
    pub privileges: PrivilegesView,
}

/// What it takes to rise to a class.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Thresholds {
    /// Days of 86,400 seconds since they joined.
    pub min_age_days: u32,
    /// Bytes that the tracker counted.
    pub min_uploaded: u64,
    /// Bytes that count, uploaded over downloaded, times 1000. Who downloaded nothing has enough.
    pub min_ratio_milli: u32,
    /// Hours of seeding, all torrents together.
    pub min_seed_hours: u32,
    /// Torrents that they have added to the site.
    pub min_torrents: u32,
    /// Whether an open hit-and-run stands in the way.
    pub no_open_hit_and_run: bool,
}

/// What a class gives.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PrivilegesView {
    /// Torrents that may be downloaded at the same time; 0: no limit.
    pub download_slots: u32,
    /// Invites, once.
    pub invites: u32,
    /// What an uploaded byte earns: 100 is what it is worth, 110 a tenth more.
    pub upload_percent: u16,
    /// Days until an unused freeleech token is worth nothing; 0: never.
    pub token_days: u32,
    /// Requests to the API that you may make a minute, from wherever; 0: no limit beside the site's own for each address.
    pub requests_per_minute: u32,
}

pub(crate) async fn balance(site: &Site, user: UserId) -> Result<Balance, Problem> {
    let stats = site.store.stats(user).await?;
    let (uploaded, downloaded) = (stats.totals.uploaded, stats.totals.downloaded);
    let ratio = ratio(stats.credited.uploaded, stats.credited.downloaded);
    Ok(Balance {
        credits_milli: stats.credits_milli,
        ratio,
        uploaded,
        downloaded,
        warning: warning(ratio, site.live.load().min_ratio_warning),
    })
}

fn warning(ratio: Option<f64>, least: f64) -> Option<String> {
    let ratio = ratio.filter(|ratio| *ratio < least)?;
    Some(format!(
        "your ratio is {ratio}, and {least} is the least it should be"
    ))
}

pub(crate) async fn transactions(
    site: &Site,
    user: UserId,
    paging: &Paging,
) -> Result<Page<Transaction>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.credit_entries(user, before, limit + 1).await?;
    Ok(Page::new(
        rows,
        limit,
        |entry| [entry.id],
        Transaction::from,
    ))
}

/// All of them, lowest first.
pub(crate) fn user_classes(site: &Site) -> Page<UserClassView> {
    let views = UserClass::ALL.into_iter().zip(1..).map(|(class, rank)| {
        let description = match class {
            UserClass::Newbie => "Everybody, to begin with.",
            UserClass::Member => "Has been here for a while, and shares.",
            UserClass::Trusted => "Shares well.",
            UserClass::Elite => "Keeps the site alive.",
        };
        let rules = site.economy.class(class);
        UserClassView {
            name: class.into(),
            rank,
            description,
            thresholds: rules.into(),
            privileges: rules.privileges.into(),
        }
    });
    Page {
        results: views.collect(),
        next: None,
    }
}

/// A grant or a penalty, by an admin.
pub(crate) async fn change(
    site: &Site,
    actor: &User,
    user: UserId,
    change: CreditChange,
) -> Result<Transaction, Problem> {
    let mut wrong = Problem::INVALID;
    let amount = change.amount_milli;
    if amount == 0 || !(-AMOUNT_MAX..=AMOUNT_MAX).contains(&amount) {
        wrong = wrong.and("amount_milli", "not zero, and at most 10^15 either way");
    }
    if let Err(right) = names::check_reason(&change.reason) {
        wrong = wrong.and("reason", right);
    }
    wrong.unless_none()?;
    let reason = change.reason.trim();
    let done = site
        .store
        .change_credits(user, amount, reason, actor.id, site.now())
        .await?;
    let refused = || match amount {
        ..0 => Problem::CONFLICT.detail("they haven't that many credits"),
        _ => Problem::CONFLICT.detail("a balance is at most 10^18 thousandths"),
    };
    Ok(done.ok_or_else(refused)?.into())
}

impl From<&ClassRules> for Thresholds {
    fn from(rules: &ClassRules) -> Self {
        Self {
            min_age_days: rules.min_age_days,
            min_uploaded: rules.min_uploaded,
            min_ratio_milli: rules.min_ratio_milli,
            min_seed_hours: rules.min_seed_hours,
            min_torrents: rules.min_torrents,
            no_open_hit_and_run: rules.no_open_hit_and_run,
        }
    }
}

impl From<Privileges> for PrivilegesView {
    fn from(privileges: Privileges) -> Self {
        Self {
            download_slots: privileges.download_slots,
            invites: privileges.invites,
            upload_percent: privileges.upload_percent,
            token_days: privileges.token_days,
            requests_per_minute: privileges.requests_per_minute,
        }
    }
}

impl From<CreditEntry> for Transaction {
    fn from(entry: CreditEntry) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind.into(),
            amount_milli: entry.amount_milli,
            balance_milli: entry.balance_milli,
            info_hash: entry.torrent.map(|hash| hash.to_string()),
            note: entry.note,
            created_at: entry.created_at.into(),
        }
    }
}

impl From<CreditKind> for EntryKind {
    fn from(kind: CreditKind) -> Self {
        match kind {
            CreditKind::Grant => Self::Grant,
            CreditKind::Penalty => Self::Penalty,
            CreditKind::Upload => Self::Upload,
            CreditKind::Download => Self::Download,
            CreditKind::Seeding => Self::Seeding,
            CreditKind::Purchase => Self::Purchase,
            CreditKind::Gift => Self::Gift,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_ratio_is_warned_of_and_none_is_not() {
        assert!(warning(Some(0.499), 0.5).is_some_and(|text| text.contains("0.499")));
        assert_eq!(warning(Some(0.5), 0.5), None);
        assert_eq!(warning(None, 0.5), None);
    }
}
