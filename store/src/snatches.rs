//! Snatches that may still ask for something: what a member took, and how far they have given it back.

use economy::policy::HitAndRun;
use economy::snatch::{Snatch, SnatchState, judge_snatch};
use sqlx::{AssertSqlSafe, FromRow};
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};

use crate::Store;
use crate::columns;
use crate::error::Result;
use crate::store::{Pools, reading};

/// A snatch that isn't given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedSnatch {
    /// Of which torrent.
    pub torrent: TorrentId,
    /// The torrent's.
    pub info_hash: InfoHash,
    /// The torrent's.
    pub name: String,
    /// What the member did with it.
    pub snatch: Snatch,
    /// Where that is.
    pub state: SnatchState,
    /// When its member was warned that there is little time left.
    pub warned_at: Option<UnixTime>,
}

impl OwedSnatch {
    /// Whether its time is over.
    pub fn is_hit_and_run(&self) -> bool {
        matches!(self.state, SnatchState::HitAndRun { .. })
    }
}

/// A hit-and-run is forgotten so many days after its time was over: nobody seeds what everybody has forgotten, and a
/// member's old snatches needn't be looked at.
const REMEMBERED_DAYS: u32 = 365;

/// Nobody owes more and means to give it back. What is beyond comes up when some of the older ones are given back.
const OWED_MAX: i64 = 10_000;

/// Longer than any client waits between announces, and not so long that who is gone could hide behind it.
const SEEDING_SECS: u32 = 86_400;

/// Along the index of snatches that aren't settled, and for each the stretch of the member's sessions in its torrent. What
/// can't be seeded isn't owed: torrents that are closed or deleted. A session counts for a PiB at most, so that no sum
/// gets to where 64 bits end.
const OWED: &str = "
    select snatches.torrent_id, torrents.info_hash, torrents.name, torrents.size, snatches.completed_at,
        snatches.warned_at,
        snatches.pruned_uploaded + cast(coalesce(sum(case
            when sessions.credited_uploaded > 1125899906842624 then 1125899906842624
            else sessions.credited_uploaded
        end), 0) as bigint) as uploaded,
        snatches.pruned_seed_secs + cast(coalesce(sum(sessions.seeded_secs), 0) as bigint) as seed_secs,
        count(case when sessions.active and sessions.role = 'seeder' and sessions.announced_at >= $5 then 1 end) as seeding
    from snatches
    join torrents on torrents.id = snatches.torrent_id
    left join sessions
        on sessions.user_id = $1
        and sessions.torrent_id = snatches.torrent_id
    where snatches.user_id = $1
        and snatches.settled_at is null
        and snatches.completed_at > $2
        and torrents.status = 'open'
        and torrents.deleted_at is null
    group by snatches.torrent_id, torrents.info_hash, torrents.name, torrents.size, snatches.completed_at,
        snatches.warned_at, snatches.pruned_uploaded, snatches.pruned_seed_secs
    having snatches.pruned_seed_secs + coalesce(sum(sessions.seeded_secs), 0) < $3
    order by snatches.completed_at, snatches.torrent_id
    limit $4";

#[derive(FromRow)]
struct OwedRow {
    torrent_id: i64,
    info_hash: Vec<u8>,
    name: String,
    size: i64,
    completed_at: i64,
    warned_at: Option<i64>,
    uploaded: i64,
    seed_secs: i64,
    seeding: i64,
}

/// [`OWED`]'s numbers: completed after, seconds of seeding that are enough, rows, and seeding since.
fn bounds(rules: &HitAndRun, now: UnixTime) -> [i64; 4] {
    let days = i64::from(rules.within_days) + i64::from(REMEMBERED_DAYS);
    let now = i64::from(now.0);
    [
        now - days * 86_400,
        i64::from(rules.min_seed_hours) * 3600,
        OWED_MAX,
        now - i64::from(SEEDING_SECS),
    ]
}

impl Store {
    /// What a member owes, the oldest first: snatches that are open, warned of, or hit-and-runs. Nothing, where nobody
    /// looks.
    pub async fn owed_snatches(
        &self,
        user: UserId,
        rules: &HitAndRun,
        now: UnixTime,
    ) -> Result<Vec<OwedSnatch>> {
        if !rules.enabled {
            return Ok(Vec::new());
        }
        let [after, enough_secs, limit, seeding_since] = bounds(rules, now);
        let rows: Vec<OwedRow> = reading!(self, |pool| {
            sqlx::query_as(OWED)
                .bind(i64::from(user.0))
                .bind(after)
                .bind(enough_secs)
                .bind(limit)
                .bind(seeding_since)
                .fetch_all(pool)
                .await
        })?;
        let mut owed = Vec::new();
        for row in rows {
            let snatch = row.judged(rules, now)?;
            if snatch.state != SnatchState::Satisfied {
                owed.push(snatch);
            }
        }
        Ok(owed)
    }

    /// How the database would find a member's, in its own words: a test reads whether along indexes.
    #[doc(hidden)]
    pub async fn explain_owed_snatches(
        &self,
        user: UserId,
        rules: &HitAndRun,
        now: UnixTime,
    ) -> Result<Vec<String>> {
        let [after, enough_secs, limit, seeding_since] = bounds(rules, now);
        match &self.pools {
            Pools::Sqlite { readers, .. } => {
                let sql = AssertSqlSafe(format!("explain query plan {OWED}"));
                let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql)
                    .bind(i64::from(user.0))
                    .bind(after)
                    .bind(enough_secs)
                    .bind(limit)
                    .bind(seeding_since)
                    .fetch_all(readers)
                    .await?;
                Ok(rows.into_iter().map(|row| row.3).collect())
            }
            Pools::Postgres(pool) => {
                let sql = AssertSqlSafe(format!("explain {OWED}"));
                let rows = sqlx::query_scalar(sql)
                    .bind(i64::from(user.0))
                    .bind(after)
                    .bind(enough_secs)
                    .bind(limit)
                    .bind(seeding_since)
                    .fetch_all(pool)
                    .await?;
                Ok(rows)
            }
        }
    }
}

impl OwedRow {
    fn judged(self, rules: &HitAndRun, now: UnixTime) -> Result<OwedSnatch> {
        let snatch = Snatch {
            completed_at: columns::time(self.completed_at, "snatches.completed_at")?,
            size: columns::count(self.size, "torrents.size")?,
            uploaded: columns::count(self.uploaded, "sessions.credited_uploaded")?,
            seed_secs: columns::count(self.seed_secs, "sessions.seeded_secs")?,
            is_seeding: self.seeding > 0,
            settled: false,
        };
        Ok(OwedSnatch {
            torrent: TorrentId(columns::id(self.torrent_id, "snatches.torrent_id")?),
            info_hash: InfoHash(columns::array(&self.info_hash, "torrents.info_hash")?),
            name: self.name,
            state: judge_snatch(rules, &snatch, now),
            warned_at: columns::maybe_time(self.warned_at, "snatches.warned_at")?,
            snatch,
        })
    }
}
