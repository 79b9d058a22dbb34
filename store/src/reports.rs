//! What happened between two moments, for a report.

use tracker_core::ids::UnixTime;

use crate::Store;
use crate::columns::{self, COUNT_MAX, Word};
use crate::credits::CreditKind;
use crate::error::Result;
use crate::store::reading;

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Members who came.
    pub members: u64,
    /// Torrents that were added, those deleted since among them.
    pub torrents: u64,
    /// Their bytes together.
    pub torrent_bytes: u64,
    /// Downloads that were finished.
    pub snatches: u64,
    /// Credit entries by kind: how many, and their sum in thousandths.
    pub credits: Vec<(CreditKind, u64, i64)>,
    /// What staff did, by action.
    pub actions: Vec<(String, u64)>,
    /// Who added most torrents, and how many: ten at most.
    pub uploaders: Vec<(String, u64)>,
}

const COUNTS: &str = "
    select
        (select count(*) from users where created_at >= $1 and created_at < $2),
        (select count(*) from torrents where created_at >= $1 and created_at < $2),
        (select coalesce(cast(sum(size / 4294967296) as bigint), 0)
            from torrents where created_at >= $1 and created_at < $2),
        (select coalesce(cast(sum(size % 4294967296) as bigint), 0)
            from torrents where created_at >= $1 and created_at < $2),
        (select count(*) from snatches where completed_at >= $1 and completed_at < $2)";

/// In two halves, as the sum may have more than 64 bits.
const CREDITS: &str = "
    select kind, count(*), cast(sum(amount_milli / 4294967296) as bigint), cast(sum(amount_milli % 4294967296) as bigint)
    from credit_entries
    where created_at >= $1 and created_at < $2
    group by kind
    order by kind";

const ACTIONS: &str = "
    select action, count(*)
    from audit_entries
    where created_at >= $1 and created_at < $2
    group by action
    order by action";

const UPLOADERS: &str = "
    select users.username, count(*)
    from torrents
    join users on users.id = torrents.uploader_id
    where torrents.created_at >= $1 and torrents.created_at < $2
    group by users.id, users.username
    order by count(*) desc, users.id
    limit 10";

impl Store {
    /// What happened from one moment on until another.
    pub async fn report(&self, from: UnixTime, to: UnixTime) -> Result<Report> {
        let (from, to) = (i64::from(from.0), i64::from(to.0));
        let counts: (i64, i64, i64, i64, i64) = reading!(self, |pool| {
            sqlx::query_as(COUNTS)
                .bind(from)
                .bind(to)
                .fetch_one(pool)
                .await
        })?;
        let credits: Vec<(String, i64, i64, i64)> = reading!(self, |pool| {
            sqlx::query_as(CREDITS)
                .bind(from)
                .bind(to)
                .fetch_all(pool)
                .await
        })?;
        let actions = reading!(self, |pool| {
            sqlx::query_as(ACTIONS)
                .bind(from)
                .bind(to)
                .fetch_all(pool)
                .await
        })?;
        let uploaders = reading!(self, |pool| {
            sqlx::query_as(UPLOADERS)
                .bind(from)
                .bind(to)
                .fetch_all(pool)
                .await
        })?;
        let (members, torrents, high, low, snatches) = counts;
        let bytes = whole(high, low).clamp(0, i128::from(COUNT_MAX));
        Ok(Report {
            members: columns::count(members, "users")?,
            torrents: columns::count(torrents, "torrents")?,
            torrent_bytes: u64::try_from(bytes).unwrap_or(COUNT_MAX),
            snatches: columns::count(snatches, "snatches")?,
            credits: credits
                .into_iter()
                .map(|(kind, entries, high, low)| {
                    let sum = whole(high, low).clamp(i64::MIN.into(), i64::MAX.into());
                    Ok((
                        CreditKind::parse(&kind)?,
                        columns::count(entries, "credit_entries")?,
                        i64::try_from(sum).unwrap_or(i64::MAX),
                    ))
                })
                .collect::<Result<_>>()?,
            actions: counted(actions)?,
            uploaders: counted(uploaders)?,
        })
    }
}

fn whole(high: i64, low: i64) -> i128 {
    (i128::from(high) << 32) + i128::from(low)
}

fn counted(rows: Vec<(String, i64)>) -> Result<Vec<(String, u64)>> {
    rows.into_iter()
        .map(|(name, count)| Ok((name, columns::count(count, "count")?)))
        .collect()
}
