//! What is done now and then: who is doing it, and how the last run went.
//!
//! A run is taken by a conditional update, for a while: of many processes one has it, and a dead one's is free again when
//! the while is over. So a job must bear being run twice at once all the same. Clocks have to agree within that while.

use sqlx::FromRow;
use tracker_core::ids::UnixTime;

use crate::Store;
use crate::columns::{self, Word, bigint};
use crate::error::{Result, StoreError};
use crate::store::{in_transaction, reading};

/// What became of a wish to run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenJob {
    /// It is the caller's.
    Taken,
    /// Somebody else has it.
    Busy,
    /// What was due is done.
    Done,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Whatever was due is done.
    Done,
    /// The report says why.
    Failed,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// When it began.
    pub started_at: UnixTime,
    /// How long it took.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: JobOutcome,
    /// For people: what it came to, or the error.
    pub report: String,
}

/// A job that has been run or is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Which.
    pub name: String,
    /// Until when somebody has it, unless they end before or go on.
    pub held_until: Option<UnixTime>,
    /// The last run that ended.
    pub last: Option<JobRun>,
}

const MAKE: &str = "
    insert into jobs (name)
    values ($1)
    on conflict (name) do nothing";

const TAKE: &str = "
    update jobs
    set holder = $1, held_until = $2
    where name = $3
        and (held_until is null or held_until <= $4)
        and (done_until is null or done_until < $5)";

const IS_DONE: &str = "
    select count(*)
    from jobs
    where name = $1
        and done_until >= $2";

const KEEP: &str = "
    update jobs
    set held_until = $1
    where name = $2
        and holder = $3";

const GIVE_BACK: &str = "
    update jobs
    set holder = null, held_until = null
    where name = $1
        and holder = $2";

const END: &str = "
    update jobs
    set holder = null,
        held_until = null,
        done_until = case when $1 then $2 else done_until end,
        started_at = $2,
        duration_ms = $3,
        outcome = $4,
        report = $5
    where name = $6
        and holder = $7";

const LIST: &str = "
    select name, held_until, started_at, duration_ms, outcome, report
    from jobs
    order by name";

#[derive(FromRow)]
struct JobRow {
    name: String,
    held_until: Option<i64>,
    started_at: Option<i64>,
    duration_ms: Option<i64>,
    outcome: Option<String>,
    report: Option<String>,
}

impl Store {
    /// Takes a job, if nobody has it and no run that began at `due` or later has done it. `None`: whether it is due or not.
    /// It is the holder's for `lease_secs`, who has to be the only one of that name.
    pub async fn take_job(
        &self,
        name: &str,
        holder: &str,
        due: Option<UnixTime>,
        now: UnixTime,
        lease_secs: u32,
    ) -> Result<TakenJob> {
        let due = due.map_or(i64::MAX, |due| i64::from(due.0));
        in_transaction!(self, |tx| {
            sqlx::query(MAKE).bind(name).execute(&mut *tx).await?;
            let taken = sqlx::query(TAKE)
                .bind(holder)
                .bind(i64::from(now.0.saturating_add(lease_secs)))
                .bind(name)
                .bind(i64::from(now.0))
                .bind(due)
                .execute(&mut *tx)
                .await?;
            if taken.rows_affected() == 1 {
                TakenJob::Taken
            } else {
                let done: i64 = sqlx::query_scalar(IS_DONE)
                    .bind(name)
                    .bind(due)
                    .fetch_one(&mut *tx)
                    .await?;
                match done {
                    0 => TakenJob::Busy,
                    _ => TakenJob::Done,
                }
            }
        })
    }

    /// Goes on holding a job. `false`: somebody else has it, as the holder was silent for too long.
    pub async fn keep_job(&self, name: &str, holder: &str, until: UnixTime) -> Result<bool> {
        in_transaction!(self, |tx| {
            let kept = sqlx::query(KEEP)
                .bind(i64::from(until.0))
                .bind(name)
                .bind(holder)
                .execute(&mut *tx)
                .await?;
            kept.rows_affected() == 1
        })
    }

    /// Lets go of a job in the middle: it is as due as it was.
    pub async fn give_job_back(&self, name: &str, holder: &str) -> Result<()> {
        in_transaction!(self, |tx| {
            sqlx::query(GIVE_BACK)
                .bind(name)
                .bind(holder)
                .execute(&mut *tx)
                .await?;
        })
    }

    /// Writes down how a run went, and lets go of the job. `false`: somebody else has it by now, and nothing is written.
    pub async fn end_job(&self, name: &str, holder: &str, run: &JobRun) -> Result<bool> {
        in_transaction!(self, |tx| {
            let ended = sqlx::query(END)
                .bind(run.outcome == JobOutcome::Done)
                .bind(i64::from(run.started_at.0))
                .bind(bigint(run.duration_ms))
                .bind(run.outcome.word())
                .bind(&run.report)
                .bind(name)
                .bind(holder)
                .execute(&mut *tx)
                .await?;
            ended.rows_affected() == 1
        })
    }

    /// Jobs that have been taken once, by name.
    pub async fn jobs(&self) -> Result<Vec<JobState>> {
        let rows: Vec<JobRow> = reading!(self, |pool| sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(JobState::try_from).collect()
    }
}

impl TryFrom<JobRow> for JobState {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self> {
        let held_until = row.held_until;
        let held_until = held_until.map(|at| columns::time(at, "jobs.held_until"));
        let last = match (row.started_at, row.outcome) {
            (Some(started_at), Some(outcome)) => Some(JobRun {
                started_at: columns::time(started_at, "jobs.started_at")?,
                duration_ms: columns::count(row.duration_ms.unwrap_or(0), "jobs.duration_ms")?,
                outcome: JobOutcome::parse(&outcome)?,
                report: row.report.unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(Self {
            name: row.name,
            held_until: held_until.transpose()?,
            last,
        })
    }
}

impl Word for JobOutcome {
    const ALL: &'static [Self] = &[Self::Done, Self::Failed];
    const COLUMN: &'static str = "jobs.outcome";

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}
