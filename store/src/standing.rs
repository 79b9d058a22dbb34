//! What a member has, as classes ask for it.

use economy::class::Standing;
use economy::policy::Policy;
use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::snatches::OwedSnatch;
use crate::store::reading;

/// Torrents that are on the site: not those that wait for staff, or that staff have closed.
const STANDING: &str = "
    select class, created_at, uploaded, credited_uploaded, credited_downloaded,
        pruned_seed_secs + (select cast(coalesce(sum(sessions.seeded_secs), 0) as bigint)
            from sessions where sessions.user_id = $1) as seed_secs,
        (select count(*)
            from torrents
            where torrents.uploader_id = $1 and torrents.status = 'open' and torrents.deleted_at is null) as torrents
    from users
    where id = $1";

#[derive(FromRow)]
struct StandingRow {
    class: String,
    created_at: i64,
    uploaded: i64,
    credited_uploaded: i64,
    credited_downloaded: i64,
    seed_secs: i64,
    torrents: i64,
}

impl Store {
    /// A member's standing, as [`economy::class`] judges it; `below_since` isn't in it. Uploaded is what the tracker counted,
    /// which nobody can buy; the ratio is that of the bytes that count.
    pub async fn standing(&self, user: UserId, policy: &Policy, now: UnixTime) -> Result<Standing> {
        let (standing, _) = self.standing_and_owed(user, policy, now).await?;
        Ok(standing)
    }

    /// The same, with what they owe.
    pub async fn standing_and_owed(
        &self,
        user: UserId,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<(Standing, Vec<OwedSnatch>)> {
        let row: Option<StandingRow> = reading!(self, |pool| {
            sqlx::query_as(STANDING)
                .bind(i64::from(user.0))
                .fetch_optional(pool)
                .await
        })?;
        let row = row.ok_or(StoreError::NotFound { what: "user" })?;
        let owed = self.owed_snatches(user, &policy.hit_and_run, now).await?;
        let open_hit_and_runs = owed.iter().filter(|owed| owed.is_hit_and_run()).count();
        let up = columns::count(row.credited_uploaded, "users.credited_uploaded")?;
        let down = columns::count(row.credited_downloaded, "users.credited_downloaded")?;
        let joined_at = columns::time(row.created_at, "users.created_at")?;
        let standing = Standing {
            class: UserClass::parse(&row.class)?,
            age_secs: now.secs_since(joined_at),
            uploaded: columns::count(row.uploaded, "users.uploaded")?,
            ratio_milli: ratio_milli(up, down),
            seed_secs: columns::count(row.seed_secs, "sessions.seeded_secs")?,
            torrents: columns::count(row.torrents, "torrents")?,
            open_hit_and_runs: u64::try_from(open_hit_and_runs).unwrap_or(u64::MAX),
            below_since: None,
        };
        Ok((standing, owed))
    }
}

fn ratio_milli(uploaded: u64, downloaded: u64) -> Option<u64> {
    let ratio = (u128::from(uploaded) * 1000).checked_div(downloaded.into())?;
    Some(u64::try_from(ratio).unwrap_or(u64::MAX))
}
