//! What is done now and then, beside the API: a list of jobs, each with a schedule and the function that does it.
//!
//! Every process that serves the API looks at the clock; the database says which of them runs a job
//! ([`store::TakenJob`]), and remembers how it went. A job may die half way and be run again, or even twice at once: each
//! does only what isn't done yet.

/// Again, while there is as much as goes into one transaction; how much it was.
macro_rules! all {
    ($some:expr) => {{
        let mut sum = 0;
        loop {
            let done = $some.await?;
            sum += done;
            if done < u64::from(ROWS) {
                break sum;
            }
        }
    }};
}

mod expiry;
mod mail;
mod runner;
mod schedule;

use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use api_server::JobPlan;
use api_server::services::conduct;
use economy::policy::Policy;
use store::{Store, Terms};
use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use crate::config::Config;
use crate::mail::Mailer;

pub(crate) use runner::{Jobs, keep_running, run_now};

/// Something that is done now and then.
pub(crate) struct Job {
    /// In the database, in the API, in logs.
    pub(crate) name: &'static str,
    /// A cron expression, in UTC.
    pub(crate) schedule: &'static str,
    /// Says what it came to, for people.
    run: fn(Work) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

/// All of them, in the order in which `update-stats` runs them.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "peers",
        schedule: "* * * * *",
        run: |work| Box::pin(count_peers(work)),
    },
    // The hour before has ended, and the trackers have had time to bring in what they were told last. What is later is
    // entered the next time.
    Job {
        name: "settle",
        schedule: "10 * * * *",
        run: |work| Box::pin(settle(work)),
    },
    // Once in each hour. Who starts late in it isn't paid for it, and who stops is.
    Job {
        name: "seeding",
        schedule: "30 * * * *",
        run: |work| Box::pin(pay_seeders(work)),
    },
    // While most are asleep; and what it says is said once a day.
    Job {
        name: "conduct",
        schedule: "15 4 * * *",
        run: |work| Box::pin(judge(work)),
    },
    // Before that, and before backups that begin at the full hour.
    Job {
        name: "expiry",
        schedule: "35 3 * * *",
        run: |work| Box::pin(expiry::tidy(work)),
    },
    // What the others said, too.
    Job {
        name: "mail",
        schedule: "* * * * *",
        run: |work| Box::pin(mail::send(work)),
    },
];

/// What a run works with.
pub(crate) struct Work {
    store: Store,
    policy: Arc<Policy>,
    rates: Rates,
    mailer: Option<Arc<Mailer>>,
    /// When it began.
    now: UnixTime,
}

/// What jobs take from the configuration, and admins may change while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    multiplier_milli: u32,
    /// Below it, ratios are watched.
    min_ratio_milli: u64,
    /// After which a session doesn't count any more.
    silence_secs: u32,
    /// As many clients of a member as may be in a swarm count there.
    clients_max: u32,
    /// For so long what members did is kept in detail; 0: for ever.
    retention_days: u32,
}

impl Rates {
    pub(crate) fn of(config: &Config) -> Self {
        let settings = tracker_core::settings::Settings {
            announce_interval_secs: config.tracker.announce_interval_secs,
            ..Default::default()
        };
        Self {
            // From 0 to 1000, says the configuration.
            multiplier_milli: (config.credits.multiplier * 1000.0).round() as u32,
            min_ratio_milli: (config.credits.min_ratio_warning * 1000.0).round() as u64,
            silence_secs: settings.peer_timeout_secs(),
            clients_max: config.tracker.max_peers_per_torrent_per_user.into(),
            retention_days: config.persister.retention_days,
        }
    }
}

/// The list, for admins.
pub(crate) fn plans(now: UnixTime) -> Vec<JobPlan> {
    let plan = |job: &Job| JobPlan {
        name: job.name,
        schedule: job.schedule,
        next_at: schedule::next(job.schedule, now),
    };
    JOBS.iter().map(plan).collect()
}

async fn count_peers(work: Work) -> Result<String> {
    let changed = work.store.count_peers(work.rates.clients_max).await?;
    Ok(format!(
        "seeders and leechers of {changed} torrents had changed"
    ))
}

/// So many members are one transaction: the ledger waits for it, if it has something for one of them.
const MEMBERS_AT_A_TIME: u32 = 2000;

async fn settle(work: Work) -> Result<String> {
    let terms = Terms {
        earning: work.policy.earning,
        multiplier_milli: work.rates.multiplier_milli,
        class_upload_percent: UserClass::ALL
            .map(|class| work.policy.class(class).privileges.upload_percent),
    };
    let settled = work.store.settle(&terms, work.now, MEMBERS_AT_A_TIME);
    let settled = settled.await?;
    Ok(format!(
        "{} entries for {} members' traffic",
        settled.entries, settled.members
    ))
}

async fn pay_seeders(work: Work) -> Result<String> {
    let since = UnixTime(work.now.0.saturating_sub(work.rates.silence_secs));
    let rules = &work.policy.seeding;
    let paying = work
        .store
        .pay_seeders(rules, since, work.now, MEMBERS_AT_A_TIME);
    let paid = paying.await?;
    Ok(format!("{} members were paid for seeding", paid))
}

async fn judge(work: Work) -> Result<String> {
    let least = work.rates.min_ratio_milli;
    let reviewed = conduct::review(&work.store, &work.policy, least, work.now).await?;
    Ok(format!(
        "of {} members {} went up a class and {} down, {} were warned, {} may no longer download, {} may again",
        reviewed.members,
        reviewed.promoted,
        reviewed.demoted,
        reviewed.warned,
        reviewed.suspended,
        reviewed.restored
    ))
}
