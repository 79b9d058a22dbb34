//! What a member took and hasn't given back, and what that means for their class.

use economy::class::missing_for_next;
use economy::snatch::SnatchState;
use serde::Serialize;
use store::OwedSnatch;
use tracker_core::ids::UserId;
use utoipa::ToSchema;

use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::services::account::Class;
use crate::site::Site;
use crate::time::Time;

/// A torrent that a member took and hasn't given back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HitAndRunView {
    /// The torrent's.
    pub info_hash: String,
    /// The torrent's.
    pub name: String,
    /// Where it is.
    pub state: OwedState,
    /// When they had all of it.
    pub completed_at: Time,
    /// Until when it has, or had, to be given back.
    pub until: Time,
    /// The torrent's, in bytes.
    pub size: u64,
    /// Bytes they uploaded of it.
    pub uploaded: u64,
    /// Seconds they seeded it, all clients together.
    pub seeded_secs: u64,
    /// Whether they are seeding it now: then it isn't a hit-and-run until they stop.
    pub is_seeding: bool,
    /// Seconds of seeding that it takes.
    pub missing_secs: u64,
    /// Bytes of it that uploading would take instead; `null`: only seeding does.
    #[schema(required)]
    pub missing_bytes: Option<u64>,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwedState {
    /// There is time.
    Open,
    /// There is little time left: or none, but they are seeding.
    Warned,
    /// The time is over. Seeding, uploading and the shop still mend it.
    HitAndRun,
}

/// A member's class, and what it takes to rise.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClassView {
    /// What they have earned.
    pub name: Class,
    /// What they have.
    pub standing: StandingView,
    /// The class above; `null`: there is none.
    #[schema(required)]
    pub next: Option<NextClass>,
}

/// What a member has, of what classes ask for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// Days of 86,400 seconds since they joined.
    pub age_days: u32,
    /// Bytes that the tracker counted.
    pub uploaded: u64,
    /// Bytes that count, uploaded over downloaded, times 1000, rounded down; `null`: nothing was downloaded.
    #[schema(required)]
    pub ratio_milli: Option<u64>,
    /// Hours of seeding, all torrents together.
    pub seed_hours: u64,
    /// Torrents that they have added to the site.
    pub torrents: u64,
    /// Torrents they took, and didn't give back in time.
    pub open_hit_and_runs: u64,
}

/// The class above.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NextClass {
    /// Its name.
    pub name: Class,
    /// What is missing; nothing: it comes when classes are next looked through.
    pub missing: Vec<MissingView>,
}

/// What is missing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MissingView {
    /// Of what: a name out of `standing`.
    #[schema(value_type = String, example = "uploaded")]
    pub what: &'static str,
    /// What they have.
    pub have: u64,
    /// What it takes: at least, but of `open_hit_and_runs` at most.
    pub need: u64,
}

async fn owed(site: &Site, user: UserId) -> Result<Vec<OwedSnatch>, Problem> {
    let rules = &site.economy.hit_and_run;
    Ok(site.store.owed_snatches(user, rules, site.now()).await?)
}

/// How many are past their time.
pub(crate) async fn count(site: &Site, user: UserId) -> Result<u64, Problem> {
    let owed = owed(site, user).await?;
    let count = owed.iter().filter(|owed| owed.is_hit_and_run()).count();
    Ok(count as u64)
}

pub(crate) async fn list(
    site: &Site,
    user: UserId,
    paging: &Paging,
) -> Result<Page<HitAndRunView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let after = cursor.unwrap_or([i64::MIN, i64::MIN]);
    let place = |owed: &OwedSnatch| {
        let completed_at = owed.snatch.completed_at;
        [i64::from(completed_at.0), i64::from(owed.torrent.0)]
    };
    let mut rows = owed(site, user).await?;
    rows.retain(|owed| place(owed) > after);
    let min_ratio_milli = site.economy.hit_and_run.min_ratio_milli;
    Ok(Page::new(rows, limit, place, |owed| {
        HitAndRunView::new(owed, min_ratio_milli)
    }))
}

/// A member's class, what they have, and what the next one takes.
pub(crate) async fn class(site: &Site, user: UserId) -> Result<ClassView, Problem> {
    let policy = &site.economy;
    let standing = site.store.standing(user, policy, site.now()).await?;
    let next = missing_for_next(policy, &standing).map(|(class, missing)| NextClass {
        name: class.into(),
        missing: missing
            .into_iter()
            .map(|missing| MissingView {
                what: missing.what,
                have: missing.have,
                need: missing.need,
            })
            .collect(),
    });
    Ok(ClassView {
        name: standing.class.into(),
        standing: StandingView {
            age_days: standing.age_secs / 86_400,
            uploaded: standing.uploaded,
            ratio_milli: standing.ratio_milli,
            seed_hours: standing.seed_secs / 3600,
            torrents: standing.torrents,
            open_hit_and_runs: standing.open_hit_and_runs,
        },
        next,
    })
}

impl HitAndRunView {
    fn new(owed: OwedSnatch, min_ratio_milli: u32) -> Self {
        let snatch = owed.snatch;
        let (state, until, missing_secs) = match owed.state {
            SnatchState::Open {
                until,
                missing_secs,
            } => (OwedState::Open, until, missing_secs),
            SnatchState::Warned {
                until,
                missing_secs,
            } => (OwedState::Warned, until, missing_secs),
            SnatchState::HitAndRun {
                since,
                missing_secs,
            } => (OwedState::HitAndRun, since, missing_secs),
            // The store leaves these out.
            SnatchState::Satisfied => (OwedState::Open, snatch.completed_at, 0),
        };
        Self {
            info_hash: owed.info_hash.to_string(),
            name: owed.name,
            state,
            completed_at: snatch.completed_at.into(),
            until: until.into(),
            size: snatch.size,
            uploaded: snatch.uploaded,
            seeded_secs: snatch.seed_secs,
            is_seeding: snatch.is_seeding,
            missing_secs,
            missing_bytes: missing_bytes(snatch.size, snatch.uploaded, min_ratio_milli),
        }
    }
}

/// Rounded up, so that they are enough.
fn missing_bytes(size: u64, uploaded: u64, min_ratio_milli: u32) -> Option<u64> {
    let needed = (u128::from(size) * u128::from(min_ratio_milli)).div_ceil(1000);
    let missing = needed.saturating_sub(uploaded.into());
    (min_ratio_milli > 0).then(|| u64::try_from(missing).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_bytes_are_enough_and_none_where_only_seeding_counts() {
        assert_eq!(missing_bytes(1001, 0, 500), Some(501));
        assert_eq!(missing_bytes(1001, 501, 500), Some(0));
        assert_eq!(missing_bytes(1001, u64::MAX, 500), Some(0));
        assert_eq!(missing_bytes(u64::MAX, 0, u32::MAX), Some(u64::MAX));
        assert_eq!(missing_bytes(1001, 0, 0), None);
    }
}
