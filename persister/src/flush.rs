//! The ledger's heartbeat: what the outbox holds, merged and applied in one transaction, every flush interval.
//!
//! A batch that fails is tried again as it is, with the same mark: if its commit had gone through unnoticed, the mark
//! says so, and nothing is counted twice. Meanwhile announces go on, and their records merge into the next batch.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use store::{Applied, Batch, Mark, Result, SessionGrowth, Store};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracker_core::ids::UnixTime;
use tracker_core::record::Record;
use tracker_core::tracker::Tracker;

use crate::merge::Pending;

/// Pauses after failures double from a flush interval up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How long the last flush may take before the process ends without it.
const LAST_FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// How often peers that fell silent are looked for, in memory and in the database.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Takes records out of the tracker's outbox and brings them into the database. One a process.
#[derive(Debug)]
pub struct Persister {
    store: Store,
    tracker: Arc<Tracker>,
    mark: Mark,
    pending: Pending,
    /// On its way, and perhaps there already.
    in_flight: Option<InFlight>,
    buffer: Vec<Record>,
    meters: Meters,
}

#[derive(Debug)]
struct InFlight {
    batch: Batch,
    records: u64,
    oldest: Option<UnixTime>,
}

#[derive(Debug)]
struct Meters {
    records: Counter,
    flush_seconds: Histogram,
    lag_seconds: Gauge,
    uploaded: Counter,
    downloaded: Counter,
    orphans: Counter,
    failures: Counter,
}

/// The process ends, and the database doesn't have these.
#[derive(Debug, thiserror::Error)]
#[error("{sessions} sessions couldn't be saved before the end: {reason}")]
pub struct Unsaved {
    /// Sessions with something that isn't in the database.
    pub sessions: usize,
    /// Why.
    pub reason: String,
}

impl Persister {
    /// `journal` names this process's marks in the database: the same after a restart, another for another process.
    pub async fn new(store: Store, tracker: Arc<Tracker>, journal: String) -> Result<Self> {
        let position = store.mark(&journal).await?.unwrap_or(0);
        Ok(Self {
            store,
            tracker,
            mark: Mark { journal, position },
            pending: Pending::default(),
            in_flight: None,
            buffer: Vec::new(),
            meters: Meters::new(),
        })
    }

    /// Flushes at every interval until told to stop, then once more.
    pub async fn run(
        mut self,
        interval: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Unsaved> {
        let mut failures = 0;
        let mut next_sweep = Instant::now() + SWEEP_PERIOD;
        loop {
            let pause = backoff(interval, failures);
            if timeout(pause, stopped.wait_for(|&stop| stop)).await.is_ok() {
                return self.finish().await;
            }
            failures = match self.flush().await {
                Ok(()) if failures > 0 => {
                    tracing::info!(failures, "the database takes batches again");
                    0
                }
                Ok(()) => 0,
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "a batch couldn't be applied, trying on");
                    }
                    failures + 1
                }
            };
            self.note_lag();
            if Instant::now() >= next_sweep {
                self.sweep(UnixTime::now()).await;
                next_sweep = Instant::now() + SWEEP_PERIOD;
            }
        }
    }

    /// Brings everything there is into the database, in one batch, or in two if one was under way.
    pub async fn flush(&mut self) -> Result<()> {
        self.gather();
        if self.in_flight.is_some() {
            self.apply().await?;
        }
        if let Some(in_flight) = self.next_batch() {
            self.in_flight = Some(in_flight);
            self.apply().await?;
        }
        Ok(())
    }

    /// Peers not heard from for two announce intervals leave memory, and won't come back with a restart.
    pub async fn sweep(&mut self, now: UnixTime) {
        let timeout_secs = self.tracker.settings.load().peer_timeout_secs();
        let oldest = UnixTime(now.0.saturating_sub(timeout_secs));
        let pause = async || tokio::task::yield_now().await;
        self.tracker.swarms.sweep(oldest, pause).await;
        self.tracker.roster.sweep(now);
        if let Err(error) = self.store.retire_sessions(oldest).await {
            tracing::warn!(%error, "silent sessions couldn't be retired");
        }
    }

    fn gather(&mut self) {
        let pending = &mut self.pending;
        let take = |record: &Record| pending.add(record);
        self.tracker.outbox.drain(&mut self.buffer, take);
    }

    fn next_batch(&mut self) -> Option<InFlight> {
        let (records, oldest) = (self.pending.records(), self.pending.oldest());
        if records == 0 {
            return None;
        }
        self.mark.position += 1;
        let batch = Batch {
            sessions: self.pending.take(),
            mark: Some(self.mark.clone()),
        };
        Some(InFlight {
            batch,
            records,
            oldest,
        })
    }

    async fn apply(&mut self) -> Result<()> {
        let Some(in_flight) = &self.in_flight else {
            return Ok(());
        };
        let begun = Instant::now();
        let applied = self
            .store
            .apply(&in_flight.batch)
            .await
            .inspect_err(|_| self.meters.failures.increment(1))?;
        self.meters.flush_seconds.record(begun.elapsed());
        self.meters.records.increment(in_flight.records);
        self.take_over(&in_flight.batch, &applied);
        self.in_flight = None;
        Ok(())
    }

    /// What the transaction found out goes back into memory.
    fn take_over(&self, batch: &Batch, applied: &Applied) {
        for (key, baseline) in &applied.resolved {
            let change = batch
                .sessions
                .binary_search_by_key(key, |change| change.key);
            let change = change.ok().and_then(|at| batch.sessions.get(at));
            if let Some(SessionGrowth::Unresolved(observations)) =
                change.map(|change| &change.growth)
                && let Some(last) = observations.last()
            {
                self.tracker.swarms.settle(key, last.counters, *baseline);
            }
        }
        for &(torrent, snatches) in &applied.snatches {
            self.tracker.swarms.add_completed(torrent, snatches);
        }
        self.meters.uploaded.increment(applied.growth.uploaded);
        self.meters.downloaded.increment(applied.growth.downloaded);
        self.meters.orphans.increment(applied.orphans);
    }

    fn note_lag(&self) {
        let in_flight = self.in_flight.as_ref().and_then(|batch| batch.oldest);
        let oldest = in_flight.or(self.pending.oldest());
        let lag = oldest.map_or(0, |oldest| UnixTime::now().secs_since(oldest));
        self.meters.lag_seconds.set(f64::from(lag));
    }

    async fn finish(mut self) -> Result<(), Unsaved> {
        let deadline = Instant::now() + LAST_FLUSH_LIMIT;
        loop {
            let reason = match timeout_at(deadline, self.flush()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the database doesn't answer".to_owned(),
            };
            if Instant::now() + BACKOFF_MAX / 10 >= deadline {
                let in_flight = self.in_flight.as_ref();
                let under_way = in_flight.map_or(0, |in_flight| in_flight.batch.sessions.len());
                let sessions = under_way + self.pending.take().len();
                return Err(Unsaved { sessions, reason });
            }
            tokio::time::sleep(BACKOFF_MAX / 10).await;
        }
    }
}

fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(16));
    doubled.min(BACKOFF_MAX.max(interval))
}

impl Meters {
    fn new() -> Self {
        Self {
            records: metrics::counter!("purser_persisted_records_total"),
            flush_seconds: metrics::histogram!("purser_flush_seconds"),
            lag_seconds: metrics::gauge!("purser_persist_lag_seconds"),
            uploaded: metrics::counter!("purser_credit_bytes_total", "direction" => "uploaded"),
            downloaded: metrics::counter!("purser_credit_bytes_total", "direction" => "downloaded"),
            orphans: metrics::counter!("purser_orphan_sessions_total"),
            failures: metrics::counter!("purser_flush_failures_total"),
        }
    }
}
