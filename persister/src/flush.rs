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

/// A transaction that takes longer is given up, and half of it is tried: the mark tells if it had gone through.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// So long a heartbeat may go on catching up before others have their turn: the sweep, the lag, a wish to stop.
const BEAT_MAX: Duration = Duration::from_secs(5);

/// How often a trouble that lasts is told again.
const REMINDER_PERIOD: Duration = Duration::from_secs(300);

/// How long the rest may take at the end. What is left then is in the journal.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Records in one transaction: about a second's work for either database, so that after a long absence nobody else is
/// kept waiting for longer; and some 30 MB of memory.
const BATCH_MAX: usize = 50_000;

/// A database that refuses so many records one after the other has another trouble than they: from then on they are set
/// aside at the pace of its failures.
const SET_ASIDE_MAX: u32 = 100;

/// Fewer aren't tried for want of time or memory: a database that can't do them can't do anything.
const BATCH_MIN: usize = 500;

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
    /// The last batch was refused for its content, and the next will be another.
    is_narrowing: bool,
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
    /// A transaction up to here was sent, and nobody knows yet whether it went through.
    doubt: Option<u64>,
    /// Reads on from `position`. `None`: the mark is to be read first.
    reader: Option<Reader>,
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
    /// What the disk said, or that the journal isn't what was written.
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

impl FlushError {
    /// Nothing that waiting would mend: the program has to end, and to start again.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Foreign | Self::Journal(ReadError::Damaged { .. })
        )
    }
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
            is_narrowing: false,
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
        let mut trouble = Trouble::default();
        let mut next_sweep = Instant::now() + SWEEP_PERIOD;
        let mut pause = interval;
        loop {
            if timeout(pause, stopped.wait_for(|&stop| stop)).await.is_ok() {
                return self.finish().await;
            }
            let caught_up = self.catch_up(Instant::now() + BEAT_MAX, &stopped).await;
            pause = match caught_up {
                Ok(is_up_to_date) => {
                    trouble.is_over();
                    if is_up_to_date {
                        interval
                    } else {
                        Duration::ZERO
                    }
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    self.meters.failures.increment(1);
                    trouble.tell(&error);
                    // What is refused for its content is narrowed down at once.
                    match self.is_narrowing {
                        true => Duration::ZERO,
                        false => backoff(interval, trouble.failures),
                    }
                }
            };
            self.note_lag();
            if Instant::now() >= next_sweep {
                self.sweep(UnixTime::now()).await;
                next_sweep = Instant::now() + SWEEP_PERIOD;
            }
        }
    }

    /// Batch after batch, until all is there that was there when it began, or it is time for something else.
    async fn catch_up(
        &mut self,
        deadline: Instant,
        stopped: &watch::Receiver<bool>,
    ) -> Result<bool, FlushError> {
        let end = self.log.end().0;
        while self.place.position < end {
            if Instant::now() >= deadline || *stopped.borrow() {
                return Ok(false);
            }
            if !self.step().await? {
                break;
            }
        }
        Ok(true)
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
        self.is_narrowing = false;
        let mut to = Position(self.place.position);
        self.records.clear();
        let records = &mut self.records;
        reader.read(self.size, |position, record| {
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
            self.place.doubt = Some(batch.mark.to);
            let answer = match timeout(APPLY_LIMIT, self.store.apply(batch, self.care)).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.take_less();
                    return Err(FlushError::Silent);
                }
            };
            match answer {
                Ok(applied) => {
                    self.place.doubt = None;
                    self.meters.flush_seconds.record(begun.elapsed());
                    return Ok(applied);
                }
                // A clear answer: somebody else has moved the mark.
                Err(error @ StoreError::Moved { .. }) => {
                    self.place.doubt = None;
                    return Err(error.into());
                }
                Err(StoreError::Stale) if self.care == Care::Trusting => {
                    self.place.doubt = None;
                    self.care = Care::Careful;
                    self.meters.stale.increment(1);
                }
                Err(error) if !error.is_about_the_data() => {
                    // Perhaps it is too much for its memory, its time or its disk.
                    self.take_less();
                    return Err(error.into());
                }
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
        self.is_narrowing = true;
        if self.care == Care::Trusting {
            self.care = Care::Careful;
            return Ok(None);
        }
        if self.records.len() > 1 {
            self.size = (self.records.len() / 2).max(1);
            return Ok(None);
        }
        self.set_aside_in_a_row += 1;
        if self.set_aside_in_a_row > SET_ASIDE_MAX && self.set_aside_in_a_row.is_multiple_of(2) {
            self.is_narrowing = false;
            return Ok(None);
        }
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
        self.place.doubt = Some(batch.mark.to);
        let setting_aside = self.store.set_aside(batch, &reason, UnixTime::now());
        timeout(APPLY_LIMIT, setting_aside)
            .await
            .map_err(|_| FlushError::Silent)??;
        self.place.doubt = None;
        Ok(Some(Applied {
            baselines: vec![None; batch.sessions.len()],
            set_aside: batch.sessions.len() as u64,
            ..Applied::default()
        }))
    }

    /// A smaller batch next, and larger ones again as soon as it goes through.
    fn take_less(&mut self) {
        self.size = (self.records.len() / 2).max(BATCH_MIN);
    }

    /// Asks the database how far it is, and reads on from there. A transaction that was given up may still be at work
    /// over there: its end is waited for, so that no doubt is left.
    async fn find_place(&mut self) -> Result<Reader, FlushError> {
        let asked = timeout(APPLY_LIMIT, self.store.settled_mark(&self.name)).await;
        let found = asked.map_err(|_| FlushError::Silent)??;
        let ours = found == self.place.position || Some(found) == self.place.doubt;
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
        self.place.position = found;
        self.place.doubt = None;
        self.drop_segments();
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
        self.drop_segments();
    }

    fn drop_segments(&self) {
        if let Err(error) = self.log.drop_through(Position(self.place.position)) {
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
                Ok(Err(error)) if error.is_final() => return Err(error),
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

/// A database in trouble is told of when it begins, when its words change, and now and then.
#[derive(Default)]
struct Trouble {
    failures: u32,
    words: String,
    told_at: Option<Instant>,
}

impl Trouble {
    fn tell(&mut self, error: &FlushError) {
        self.failures += 1;
        let words = error.to_string();
        let is_old = self
            .told_at
            .is_some_and(|at| at.elapsed() < REMINDER_PERIOD);
        if is_old && words == self.words {
            return;
        }
        tracing::warn!(
            failures = self.failures,
            error = words,
            "a batch couldn't be applied, trying on"
        );
        (self.words, self.told_at) = (words, Some(Instant::now()));
    }

    fn is_over(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the database takes batches again");
            *self = Self::default();
        }
    }
}

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
