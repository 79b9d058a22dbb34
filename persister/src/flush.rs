//! The ledger's heartbeat: what the outbox holds, merged and applied in one transaction, every flush interval.
//!
//! A batch that fails is tried again as it is, with the same mark: if its commit had gone through unnoticed, the mark
//! says so, and nothing is counted twice. Meanwhile announces go on, and their records merge into the next batch.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use store::{Applied, Batch, Mark, Result, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tracker_core::ids::UnixTime;
use tracker_core::record::{Record, SessionKey, Ticket};
use tracker_core::tracker::Tracker;

use crate::merge::Pending;

/// Pauses after failures double from a flush interval up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// A transaction that takes longer is given up, and tried again: its mark tells if it had gone through.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// How long everything that is left may take at the end.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// Sessions in one transaction: about a second's work for either database, so that after a long absence nobody else is
/// kept waiting for longer.
const BATCH_SESSIONS_MAX: usize = 20_000;

/// Sessions that may wait, some 300 MB. With more, records stay in the outbox, and once that is full announces are
/// refused for a few minutes, which loses nothing.
const WAITING_SESSIONS_MAX: usize = 1_000_000;

/// How often the outbox is emptied while the database works on a batch.
const GATHER_PERIOD: Duration = Duration::from_millis(100);

/// Between two tries at the end.
const FINISH_PAUSE: Duration = Duration::from_millis(500);

/// How often peers that fell silent are looked for in memory.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Takes records out of the tracker's outbox and brings them into the database. One a process.
#[derive(Debug)]
pub struct Persister {
    store: Store,
    tracker: Arc<Tracker>,
    mark: Mark,
    pending: Pending,
    /// On their way, the first perhaps there already.
    in_flight: VecDeque<InFlight>,
    /// What the sessions under way, as far as memory doesn't know them, will be settled up to.
    tickets: HashMap<SessionKey, Ticket>,
    buffer: Vec<Record>,
    meters: Meters,
    retire_at: Instant,
}

#[derive(Debug)]
struct InFlight {
    batch: Arc<Batch>,
    records: u64,
    oldest: Option<UnixTime>,
    tries: u32,
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

/// Why a batch isn't in the database yet.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// What the database said.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It said nothing.
    #[error("the database didn't answer for {} s", APPLY_LIMIT.as_secs())]
    Silent,
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
            in_flight: VecDeque::new(),
            tickets: HashMap::new(),
            buffer: Vec::new(),
            meters: Meters::new(),
            retire_at: Instant::now(),
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

    /// Brings everything that is there when it begins into the database.
    pub async fn flush(&mut self) -> Result<(), FlushError> {
        self.gather();
        self.apply_all().await?;
        // Only now: while batches fail, what comes in goes on merging.
        self.make_batches();
        self.apply_all().await
    }

    /// Peers not heard from for two announce intervals leave memory, and won't come back with a restart.
    pub async fn sweep(&mut self, now: UnixTime) {
        let timeout_secs = self.tracker.settings.load().peer_timeout_secs();
        let oldest = UnixTime(now.0.saturating_sub(timeout_secs));
        let pause = async || tokio::task::yield_now().await;
        let stays = |user| self.tracker.roster.is_active(user);
        self.tracker.swarms.sweep(oldest, stays, pause).await;
        self.tracker.roster.sweep(now);
        // Rarely: the database looks at every session for it. A restart passes over silent ones by their time anyway.
        if Instant::now() >= self.retire_at {
            self.retire_at = Instant::now() + Duration::from_secs(timeout_secs.into());
            match timeout(APPLY_LIMIT, self.store.retire_sessions(oldest)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "silent sessions couldn't be retired"),
                Err(_) => tracing::warn!("silent sessions couldn't be retired in time"),
            }
        }
    }

    fn gather(&mut self) {
        let waiting = self.waiting();
        let pending = &mut self.pending;
        if waiting < WAITING_SESSIONS_MAX {
            self.tracker
                .outbox
                .drain(&mut self.buffer, |record| pending.add(record));
        }
    }

    /// Sessions with something that isn't in the database.
    fn waiting(&self) -> usize {
        let sessions = |in_flight: &InFlight| in_flight.batch.sessions.len();
        self.pending.sessions() + self.in_flight.iter().map(sessions).sum::<usize>()
    }

    fn make_batches(&mut self) {
        let (records, oldest) = (self.pending.records(), self.pending.oldest());
        self.tickets = self.pending.take_tickets();
        let mut sessions = self.pending.take();
        while !sessions.is_empty() {
            let rest = sessions.split_off(sessions.len().min(BATCH_SESSIONS_MAX));
            self.mark.position += 1;
            self.in_flight.push_back(InFlight {
                batch: Arc::new(Batch {
                    sessions,
                    mark: Some(self.mark.clone()),
                }),
                // Counted once all of them are there.
                records: if rest.is_empty() { records } else { 0 },
                oldest,
                tries: 0,
            });
            sessions = rest;
        }
    }

    async fn apply_all(&mut self) -> Result<(), FlushError> {
        while !self.in_flight.is_empty() {
            self.apply_first().await?;
        }
        Ok(())
    }

    /// Applies the first batch under way. Announces go on meanwhile, so the outbox is emptied while the database works.
    async fn apply_first(&mut self) -> Result<(), FlushError> {
        let Some(first) = self.in_flight.front_mut() else {
            return Ok(());
        };
        first.tries += 1;
        let is_first_try = first.tries == 1;
        let (store, batch) = (self.store.clone(), Arc::clone(&first.batch));
        let begun = Instant::now();
        let mut applying = std::pin::pin!(timeout(APPLY_LIMIT, store.apply(&batch)));
        let mut tick = interval(GATHER_PERIOD);
        let result = loop {
            tokio::select! {
                result = &mut applying => break result,
                _ = tick.tick() => {
                    self.gather();
                    self.note_lag();
                }
            }
        };
        let applied = match result {
            Ok(Ok(applied)) => applied,
            failed => {
                self.meters.failures.increment(1);
                failed.map_err(|_| FlushError::Silent)??;
                return Ok(());
            }
        };
        if applied.already && is_first_try {
            return self.leave_foreign_marks().await;
        }
        self.meters.flush_seconds.record(begun.elapsed());
        self.take_over(&applied);
        if let Some(done) = self.in_flight.pop_front() {
            self.meters.records.increment(done.records);
        }
        Ok(())
    }

    /// A batch that was never sent can't be there: somebody else marks theirs with our name. Ours must not be lost.
    async fn leave_foreign_marks(&mut self) -> Result<(), FlushError> {
        let name = &self.mark.journal;
        tracing::error!(journal = %name, "another process uses this journal.id: is data_dir a copy of another one?");
        // Before anything can fail: a batch that still counts as sent would be taken for applied the next time.
        self.in_flight
            .iter_mut()
            .for_each(|in_flight| in_flight.tries = 0);
        self.mark.position = self.store.mark(name).await?.unwrap_or(0);
        for in_flight in &mut self.in_flight {
            self.mark.position += 1;
            let sessions = in_flight.batch.sessions.clone();
            let mark = Some(self.mark.clone());
            in_flight.batch = Arc::new(Batch { sessions, mark });
        }
        Ok(())
    }

    /// What the transaction found out goes back into memory.
    fn take_over(&self, applied: &Applied) {
        for (key, baseline) in &applied.resolved {
            if let Some(&last) = self.tickets.get(key) {
                self.tracker.swarms.settle(key, last, *baseline);
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
        let in_flight = self.in_flight.front().and_then(|first| first.oldest);
        let oldest = in_flight.or(self.pending.oldest());
        let lag = oldest.map_or(0, |oldest| UnixTime::now().secs_since(oldest));
        self.meters.lag_seconds.set(f64::from(lag));
    }

    async fn finish(mut self) -> Result<(), Unsaved> {
        let deadline = Instant::now() + FINISH_LIMIT;
        let mut last_reason = None;
        loop {
            match timeout_at(deadline, self.flush()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => last_reason = Some(error.to_string()),
                Err(_) => {
                    let silent = || "the database doesn't answer".to_owned();
                    return Err(Unsaved {
                        sessions: self.waiting(),
                        reason: last_reason.unwrap_or_else(silent),
                    });
                }
            }
            sleep(FINISH_PAUSE).await;
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
