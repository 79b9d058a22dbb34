//! `purser update-stats`: what is done now and then is done now.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arc_swap::ArcSwap;
use serde_json::json;
use store::JobOutcome;

use super::serve::live;
use super::{block_on, open_store, print_json};
use crate::cli::Options;
use crate::jobs::{self, JOBS, Jobs, Rates};
use crate::mail::Mailer;

pub(crate) fn run(options: &Options) -> Result<()> {
    let config = options.load()?;
    let runs = block_on(async {
        let store = open_store(&config).await?;
        let overrides = live::overrides(&store).await?;
        let config = live::config_with(options, &overrides)?;
        let jobs = Jobs {
            store: store.clone(),
            policy: Arc::new(config.economy()?),
            rates: Arc::new(ArcSwap::from_pointee(Rates::of(&config))),
            mailer: Mailer::of(&config)?.map(Arc::new),
        };
        let mut runs = Vec::new();
        for job in JOBS {
            runs.push((job.name, jobs::run_now(job, &jobs).await?));
        }
        store.close().await;
        Ok(runs)
    })?;
    let is_done = |outcome| outcome == JobOutcome::Done;
    if options.json {
        let views = runs.iter().map(|(name, run)| {
            json!({
                "name": name,
                "done": is_done(run.outcome),
                "report": run.report,
                "duration_ms": run.duration_ms,
            })
        });
        print_json(&json!({ "jobs": views.collect::<Vec<_>>() }))?;
    } else {
        for (name, run) in &runs {
            let failed = if is_done(run.outcome) { "" } else { "failed: " };
            println!("{name}: {failed}{} ({} ms)", run.report, run.duration_ms);
        }
    }
    let failed = runs.iter().filter(|(_, run)| !is_done(run.outcome));
    let failed: Vec<_> = failed.map(|(name, _)| *name).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
