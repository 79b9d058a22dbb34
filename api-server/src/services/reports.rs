//! What happened on the site between two moments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tracker_core::ids::UnixTime;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::services::credits::EntryKind;
use crate::site::Site;
use crate::time::Time;

/// As long as a report is, unless its request says otherwise.
const PERIOD_SECS: u32 = 30 * 24 * 3600;

/// What a report is about.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportRequest {
    /// From when on; `null`: thirty days before `to`.
    pub from: Option<Time>,
    /// Until when, which isn't in it any more; `null`: now.
    pub to: Option<Time>,
}

/// What happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportView {
    /// From when on.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// When it was counted.
    pub generated_at: Time,
    /// Members who came.
    pub members_joined: u64,
    /// Torrents that were added, those deleted since among them.
    pub torrents_added: u64,
    /// Their bytes together.
    pub bytes_added: u64,
    /// Downloads that were finished.
    pub snatches: u64,
    /// What credits came from and went to, by kind.
    pub credits: Vec<CreditSum>,
    /// What staff did: how often, by action.
    #[schema(example = json!({"user.change": 3}))]
    pub actions: BTreeMap<String, u64>,
    /// Who added most torrents: ten at most.
    pub top_uploaders: Vec<UploaderCount>,
}

/// Credit entries of a kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreditSum {
    /// Of which kind.
    pub kind: EntryKind,
    /// How many.
    pub entries: u64,
    /// Their sum, in thousandths.
    pub amount_milli: i64,
}

/// Torrents of a member.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UploaderCount {
    /// Whose.
    pub username: String,
    /// How many.
    pub torrents: u64,
}

pub(crate) async fn generate(site: &Site, asked: &ReportRequest) -> Result<ReportView, Problem> {
    let now = site.now();
    let to = asked.to.map_or(now, |to| to.0);
    let from = asked.from.map(|from| from.0);
    let from = from.unwrap_or(UnixTime(to.0.saturating_sub(PERIOD_SECS)));
    if from >= to {
        return Err(Problem::invalid("from", "a time before `to`"));
    }
    let report = site.store.report(from, to).await?;
    Ok(ReportView {
        from: from.into(),
        to: to.into(),
        generated_at: now.into(),
        members_joined: report.members,
        torrents_added: report.torrents,
        bytes_added: report.torrent_bytes,
        snatches: report.snatches,
        credits: report
            .credits
            .into_iter()
            .map(|(kind, entries, amount_milli)| CreditSum {
                kind: kind.into(),
                entries,
                amount_milli,
            })
            .collect(),
        actions: report.actions.into_iter().collect(),
        top_uploaders: report
            .uploaders
            .into_iter()
            .map(|(username, torrents)| UploaderCount { username, torrents })
            .collect(),
    })
}
