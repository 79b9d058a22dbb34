//! What is done now and then, and how it went.

use serde::Serialize;
use store::{JobOutcome, JobRun};
use utoipa::ToSchema;

use crate::page::Page;
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// Something that is done now and then.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its name.
    #[schema(value_type = String, example = "peers")]
    pub name: &'static str,
    /// A cron expression, in UTC.
    #[schema(value_type = String, example = "* * * * *")]
    pub schedule: &'static str,
    /// When it is due; `null`: never again.
    #[schema(required)]
    pub next_at: Option<Time>,
    /// Whether it is being done.
    pub is_running: bool,
    /// The last run that ended; `null`: there was none.
    #[schema(required)]
    pub last_run: Option<JobRunView>,
}

/// A run that has ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobRunView {
    /// When it began.
    pub started_at: Time,
    /// How long it took.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: RunOutcome,
    /// For people: what it came to, or the error.
    pub report: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Whatever was due is done.
    Done,
    /// It is tried again.
    Failed,
}

pub(crate) async fn list(site: &Site) -> Result<Page<JobView>, Problem> {
    let now = site.now();
    let mut states = site.store.jobs().await?;
    let views = (site.jobs.0)(now).into_iter().map(|plan| {
        let state = states.iter().position(|state| state.name == plan.name);
        let state = state.map(|at| states.swap_remove(at));
        let held_until = state.as_ref().and_then(|state| state.held_until);
        JobView {
            name: plan.name,
            schedule: plan.schedule,
            next_at: plan.next_at.map(Time),
            is_running: held_until.is_some_and(|until| until > now),
            last_run: state.and_then(|state| state.last).map(JobRunView::from),
        }
    });
    Ok(Page {
        results: views.collect(),
        next: None,
    })
}

impl From<JobRun> for JobRunView {
    fn from(run: JobRun) -> Self {
        Self {
            started_at: run.started_at.into(),
            duration_ms: run.duration_ms,
            outcome: match run.outcome {
                JobOutcome::Done => RunOutcome::Done,
                JobOutcome::Failed => RunOutcome::Failed,
            },
            report: run.report,
        }
    }
}
