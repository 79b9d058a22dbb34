//! The ledger's heartbeat: every flush interval, what is new in the journal goes into the database.
//!
//! One rule makes it exact: the database is the journal, folded up to the mark, and each transaction moves both on
//! together. So nothing in this process's memory matters. After any surprise (a lost answer, a wrong hint, a refused
//! row) it is dropped, the mark is read again, and the journal is read on from there: as after a start.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use store::{Applied, Batch, Care, Mark, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracker_core::ids::UnixTime;
use tracker_core::record::Record;
use tracker_core::tracker::Tracker;

use crate::baselines::Baselines;
use crate::journal::{Log, Position, ReadError, Reader};
use crate::merge::merge;

/// Pauses after failures double from a flush interval up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// A transaction that takes longer is given up, and tried again: the mark tells if it had gone through.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// How long the rest may take at the end. What is left then is in the journal.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Records in one transaction: about a second's work for either database, so that after a long absence nobody else is
/// kept waiting for longer; and some 30 MB of memory.
const BATCH_MAX: usize = 50_000;

/// A database that refuses so many records one after the other has another trouble than they: then it is waited for.
const SET_ASIDE_MAX: u32 = 100;

/// How often peers that fell silent are looked for in memory.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Brings the journal into the database. One a process.
#[derive(Debug)]
pub struct Persister {
    store: Store,
    tracker: Arc<Tracker>,
    log: Log,
    /// The journal's name in `marks`.
    name: String,
    place: Place,
    baselines: Baselines,
    /// Records to take at once: less after a refusal, until the record that is refused stands alone.
    size: usize,
    care: Care,
    set_aside_in_a_row: u32,
    records: Vec<Record>,
    /// When the oldest record that isn't in the database was announced.
    oldest: Option<UnixTime>,
    meters: Meters,
    retire_at: Instant,
}

/// How far the database has come.
#[derive(Debug)]
struct Place {
    position: u64,
    /// A transaction was sent, and nobody knows whether it went through.
    doubt: Option<Doubt>,
    /// Reads on from `position`. `None`: the mark is to be read first.
    reader: Option<Reader>,
}

/// What such a transaction held.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    to: u64,
    records: usize,
}

/// Why the journal isn't in the database yet.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// What the database said.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It said nothing.
    #[error("the database didn't answer for {} s", APPLY_LIMIT.as_secs())]
    Silent,
    /// What the disk said.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// Somebody else moves our mark: to go on would lose what is in our journal.
    #[error(
        "another process brings a journal of the same name into the database: is data_dir a copy of another tracker's? \
         Stop one of them, and start it with a data_dir of its own; its journal stays where it is"
    )]
    Foreign,
}

/// What the database doesn't have at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Records that the next start brings in.
    pub records: u64,
}

impl Persister {
    /// `name` is the journal's in the database: the same after a restart, another for another process.
    pub fn new(
        store: Store,
        tracker: Arc<Tracker>,
        log: Log,
        name: String,
        applied: Position,
        baselines: Baselines,
    ) -> Self {
        let reader = Some(log.reader(applied));
        Self {
            store,
            tracker,
            log,
            name,
            place: Place {
                position: applied.0,
                doubt: None,
                reader,
            },
            baselines,
            size: BATCH_MAX,
            care: Care::Trusting,
            set_aside_in_a_row: 0,
            records: Vec::new(),
            oldest: None,
            meters: Meters::new(),
            retire_at: Instant::now(),
        }
    }

    /// Flushes at every interval until told to stop, then once more.
    ///
    /// # Errors
    ///
    /// Only what waiting doesn't mend.
    pub async fn run(
        mut self,
        interval: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Left, FlushError> {
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
                Err(error @ FlushError::Foreign) => return Err(error),
                Err(error) => {
                    self.meters.failures.increment(1);
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

    /// Brings everything into the database that is in the journal when it begins.
    pub async fn flush(&mut self) -> Result<(), FlushError> {
        let end = self.log.end().0;
        while self.place.position < end && self.step().await? {}
        Ok(())
    }

    /// One batch, at most. False when there was nothing to do; after an error, the next step starts from the mark.
    pub async fn step(&mut self) -> Result<bool, FlushError> {
        let mut reader = match self.place.reader.take() {
            Some(reader) => reader,
            None => self.find_place().await?,
        };
        // A try whose outcome is in doubt is repeated with the same end, so that there is one doubt at a time.
        let wanted = self.place.doubt.map_or(self.size, |doubt| doubt.records);
        let mut to = Position(self.place.position);
        self.records.clear();
        let records = &mut self.records;
        reader.read(wanted, |position, record| {
            to = position;
            records.push(*record);
        })?;
        if self.records.is_empty() {
            self.place.reader = Some(reader);
            self.oldest = None;
            return Ok(false);
        }
        self.oldest = self.records.iter().map(|record| record.at).min();
        let batch = self.batch(to);
        let applied = self.apply(&batch).await?;
        if applied.set_aside == 0 {
            self.set_aside_in_a_row = 0;
        }
        self.take_over(&batch, &applied);
        self.place.reader = Some(reader);
        Ok(true)
    }

    fn batch(&mut self, to: Position) -> Batch {
        let baselines = &self.baselines;
        Batch {
            mark: Mark {
                journal: self.name.clone(),
                from: self.place.position,
                to: to.0,
            },
            sessions: merge(&mut self.records, |key| baselines.get(key)),
        }
    }

    /// Once trusting the hints; a wrong one is found out, and then once more, carefully.
    async fn apply(&mut self, batch: &Batch) -> Result<Applied, FlushError> {
        let begun = Instant::now();
        loop {
            let doubted = self.place.doubt.replace(self.doubt(batch));
            let answer = match timeout(APPLY_LIMIT, self.store.apply(batch, self.care)).await {
                Ok(answer) => answer,
                Err(_) => return Err(FlushError::Silent),
            };
            match answer {
                Ok(applied) => {
                    self.place.doubt = None;
                    self.meters.flush_seconds.record(begun.elapsed());
                    return Ok(applied);
                }
                // A clear answer: this try did nothing. Whether an earlier one did is for the next step to find out.
                Err(error @ StoreError::Moved { .. }) => {
                    self.place.doubt = doubted;
                    return Err(error.into());
                }
                Err(StoreError::Stale) if self.care == Care::Trusting => {
                    self.place.doubt = None;
                    self.care = Care::Careful;
                    self.meters.stale.increment(1);
                }
                Err(error) if !error.is_about_the_data() => return Err(error.into()),
                Err(error) => {
                    self.place.doubt = None;
                    if let Some(applied) = self.narrow(batch, &error).await? {
                        return Ok(applied);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// The database refuses something in the batch: first it is asked carefully, then for less and less at a time, and
    /// the record that is refused even alone is set aside, with the reason, for the operator.
    async fn narrow(
        &mut self,
        batch: &Batch,
        refused: &StoreError,
    ) -> Result<Option<Applied>, FlushError> {
        if self.care == Care::Trusting {
            self.care = Care::Careful;
            return Ok(None);
        }
        if self.records.len() > 1 {
            self.size = (self.records.len() / 2).max(1);
            return Ok(None);
        }
        if self.set_aside_in_a_row >= SET_ASIDE_MAX {
            return Ok(None);
        }
        self.set_aside_in_a_row += 1;
        let reason = refused.to_string();
        for change in &batch.sessions {
            tracing::error!(
                user = change.key.user.0,
                torrent = change.key.torrent.0,
                position = batch.mark.to,
                reason,
                "an announce was set aside: see the table set_aside"
            );
        }
        self.place.doubt = Some(self.doubt(batch));
        self.store
            .set_aside(batch, &reason, UnixTime::now())
            .await?;
        self.place.doubt = None;
        Ok(Some(Applied {
            baselines: vec![None; batch.sessions.len()],
            set_aside: batch.sessions.len() as u64,
            ..Applied::default()
        }))
    }

    fn doubt(&self, batch: &Batch) -> Doubt {
        Doubt {
            to: batch.mark.to,
            records: self.records.len(),
        }
    }

    /// Asks the database how far it is, and reads on from there.
    async fn find_place(&mut self) -> Result<Reader, FlushError> {
        let asked = timeout(APPLY_LIMIT, self.store.mark(&self.name)).await;
        let found = asked.map_err(|_| FlushError::Silent)??.unwrap_or(0);
        let in_doubt = self.place.doubt.map(|doubt| doubt.to);
        let ours = found == self.place.position || Some(found) == in_doubt;
        if found > self.place.position && !ours {
            return Err(FlushError::Foreign);
        }
        if found < self.place.position {
            tracing::error!(
                had = self.place.position,
                has = found,
                "the database has forgotten announces: was a backup restored? Replaying what is in the journal"
            );
        }
        if found != self.place.position {
            self.place.position = found;
            self.place.doubt = None;
        }
        Ok(self.log.reader(Position(found)))
    }

    /// What the transaction found out goes back into memory.
    fn take_over(&mut self, batch: &Batch, applied: &Applied) {
        for (change, baseline) in batch.sessions.iter().zip(&applied.baselines) {
            match baseline {
                Some(baseline) => self.baselines.put(change.key, *baseline),
                None => self.baselines.forget(&change.key),
            }
        }
        for &(torrent, snatches) in &applied.snatches {
            self.tracker.swarms.add_completed(torrent, snatches);
        }
        self.place.position = batch.mark.to;
        self.oldest = None;
        self.care = Care::Trusting;
        self.size = (self.size * 2).min(BATCH_MAX);
        let meters = &self.meters;
        meters.records.increment(self.records.len() as u64);
        meters.uploaded.increment(applied.growth.uploaded);
        meters.downloaded.increment(applied.growth.downloaded);
        meters.set_aside.increment(applied.set_aside);
        if let Err(error) = self.log.drop_through(Position(batch.mark.to)) {
            tracing::warn!(%error, "a journal segment that isn't needed any more couldn't be deleted");
        }
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

    fn note_lag(&self) {
        let lag = self
            .oldest
            .map_or(0, |oldest| UnixTime::now().secs_since(oldest));
        self.meters.lag_seconds.set(f64::from(lag));
    }

    /// The rest. A database that is away isn't waited for long: the journal keeps what it doesn't have.
    async fn finish(mut self) -> Result<Left, FlushError> {
        let deadline = Instant::now() + FINISH_LIMIT;
        let mut tries = 0;
        loop {
            match timeout_at(deadline, self.flush()).await {
                Ok(Err(error @ FlushError::Foreign)) => return Err(error),
                // Not more than a few times: it may have been a hiccup.
                Ok(Err(_)) if tries < FINISH_TRIES => tries += 1,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(Left {
            records: self.log.end().0.saturating_sub(self.place.position),
        })
    }
}

/// More often the last batch isn't tried.
const FINISH_TRIES: u32 = 20;

fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.min(16));
    doubled.min(BACKOFF_MAX.max(interval))
}

#[derive(Debug)]
struct Meters {
    records: Counter,
    flush_seconds: Histogram,
    lag_seconds: Gauge,
    uploaded: Counter,
    downloaded: Counter,
    set_aside: Counter,
    stale: Counter,
    failures: Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            records: metrics::counter!("purser_persisted_records_total"),
            flush_seconds: metrics::histogram!("purser_flush_seconds"),
            lag_seconds: metrics::gauge!("purser_persist_lag_seconds"),
            uploaded: metrics::counter!("purser_credit_bytes_total", "direction" => "uploaded"),
            downloaded: metrics::counter!("purser_credit_bytes_total", "direction" => "downloaded"),
            set_aside: metrics::counter!("purser_set_aside_sessions_total"),
            stale: metrics::counter!("purser_stale_hints_total"),
            failures: metrics::counter!("purser_flush_failures_total"),
        }
    }
}
