//! Runs jobs when they are due, and when somebody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use arc_swap::ArcSwap;
use economy::policy::Policy;
use store::{JobOutcome, JobRun, Store, TakenJob};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracker_core::ids::UnixTime;

use super::{JOBS, Job, Rates, Work, schedule};
use crate::mail::Mailer;

/// A dead process's job is another's after so long.
const LEASE_SECS: u32 = 120;

/// How often a running job's lease is renewed: several times in it, as the database may be slow.
const RENEWAL: Duration = Duration::from_secs(30);

/// A start has enough to do.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// While another process has the job, which may be dead.
const BUSY_LOOK: Duration = Duration::from_secs(10);

/// After a run that failed, or without a database.
const RETRY: Duration = Duration::from_secs(60);

/// A command waits so long for a run that is under way: longer than a dead one's lease.
const COMMAND_PATIENCE: Duration = Duration::from_secs(180);

/// What jobs need. A clone is another handle to the same.
#[derive(Clone)]
pub(crate) struct Jobs {
    pub(crate) store: Store,
    pub(crate) policy: Arc<Policy>,
    pub(crate) rates: Arc<ArcSwap<Rates>>,
    /// `None`: no mail.
    pub(crate) mailer: Option<Arc<Mailer>>,
}

/// What came of looking at a job.
enum Looked {
    /// It was run, and went well or not.
    Ran(JobRun),
    /// There was nothing to do.
    Done,
    /// Another process has it.
    Busy,
    /// The program is stopping.
    Stopped,
}

/// All jobs, until told to stop.
pub(crate) async fn keep_running(jobs: Jobs, stopped: watch::Receiver<bool>) -> Result<()> {
    let mut running = JoinSet::new();
    for job in JOBS {
        running.spawn(keep(job, jobs.clone(), stopped.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a job panicked")?;
    }
    Ok(())
}

/// Runs a job now, whether it is due or not, once nobody else does.
pub(crate) async fn run_now(job: &Job, jobs: &Jobs) -> Result<JobRun> {
    let began = Instant::now();
    // Nobody tells a command to stop.
    let (_never, mut stopped) = watch::channel(false);
    while began.elapsed() < COMMAND_PATIENCE {
        match look(job, jobs, None, &mut stopped).await? {
            Looked::Ran(run) => return Ok(run),
            Looked::Done | Looked::Busy | Looked::Stopped => {}
        }
        sleep(Duration::from_millis(200)).await;
    }
    bail!("{}: another process is at it", job.name)
}

async fn keep(job: &Job, jobs: Jobs, mut stopped: watch::Receiver<bool>) {
    let mut done = None;
    let mut rest = FIRST_LOOK;
    loop {
        tokio::select! {
            () = sleep(rest) => {}
            _ = stopped.wait_for(|&stop| stop) => return,
        }
        rest = LOOK;
        let due = schedule::last(job.schedule, UnixTime::now());
        if due.is_none() || due == done {
            continue;
        }
        match look(job, &jobs, due, &mut stopped).await {
            Ok(Looked::Ran(run)) if run.outcome == JobOutcome::Failed => rest = RETRY,
            Ok(Looked::Ran(_) | Looked::Done) => done = due,
            Ok(Looked::Busy) => rest = BUSY_LOOK,
            Ok(Looked::Stopped) => return,
            Err(error) => {
                tracing::warn!(job = job.name, "can't be run: {error:#}");
                rest = RETRY;
            }
        }
    }
}

/// Runs a job, if it can be had.
async fn look(
    job: &Job,
    jobs: &Jobs,
    due: Option<UnixTime>,
    stopped: &mut watch::Receiver<bool>,
) -> Result<Looked> {
    let store = &jobs.store;
    let holder = format!("{:016x}", rand::random::<u64>());
    let now = UnixTime::now();
    match store
        .take_job(job.name, &holder, due, now, LEASE_SECS)
        .await?
    {
        TakenJob::Taken => {}
        TakenJob::Busy => return Ok(Looked::Busy),
        TakenJob::Done => return Ok(Looked::Done),
    }
    let began = Instant::now();
    let work = Work {
        store: store.clone(),
        policy: Arc::clone(&jobs.policy),
        rates: **jobs.rates.load(),
        mailer: jobs.mailer.clone(),
        now,
    };
    // Who is cut off in the middle of a transaction has changed nothing by it.
    let ended = tokio::select! {
        ended = (job.run)(work) => Some(ended),
        () = hold(store, job.name, &holder) => Some(Err(anyhow!("another process has taken it over"))),
        _ = stopped.wait_for(|&stop| stop) => None,
    };
    let Some(ended) = ended else {
        store.give_job_back(job.name, &holder).await?;
        return Ok(Looked::Stopped);
    };
    let (outcome, report) = match ended {
        Ok(report) => (JobOutcome::Done, report),
        Err(error) => (JobOutcome::Failed, format!("{error:#}")),
    };
    let run = JobRun {
        started_at: now,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        outcome,
        report,
    };
    match run.outcome {
        JobOutcome::Done => {
            tracing::debug!(job = job.name, ms = run.duration_ms, "{}", run.report);
        }
        JobOutcome::Failed => tracing::warn!(job = job.name, "failed: {}", run.report),
    }
    store.end_job(job.name, &holder, &run).await?;
    Ok(Looked::Ran(run))
}

/// Until somebody else has the job. While the database doesn't answer, the lease may run out: then others are right to take
/// it.
async fn hold(store: &Store, job: &str, holder: &str) {
    loop {
        sleep(RENEWAL).await;
        let until = UnixTime(UnixTime::now().0.saturating_add(LEASE_SECS));
        if let Ok(false) = store.keep_job(job, holder, until).await {
            return;
        }
    }
}
