//! The ledger's heartbeat: every flush interval, what is new in the journal goes into the database.
//!
//! One rule makes it exact: the database is the journal, folded up to the mark, and each transaction moves both on
//! together. So nothing in this process's memory matters. After any surprise (a lost answer, a wrong hint, a refused
//! row) it is dropped, the mark is read again, and the journal is read on from there: as after a start.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use store::{Applied, Batch, Mark, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracker_core::ids::UnixTime;
use tracker_core::tracker::Tracker;

use crate::baselines::Baselines;
use crate::journal::{Log, Position, ReadError, Reader};
use crate::lanes::{Lane, Lanes};
use crate::merge::merge;

mod attempt;
mod error;
mod meters;
mod trouble;

use attempt::{APPLY_LIMIT, Outcome, apply};
pub use error::{FlushError, Left};
use meters::Meters;
use trouble::{Trouble, backoff};

/// So long a heartbeat may go on catching up before others have their turn: the sweep, the lag, a wish to stop.
const BEAT_MAX: Duration = Duration::from_secs(5);

/// How long the rest may take at the end. What is left then is in the journal.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Records a lane and transaction, on average, and twice as many at most: about a second's work for either database, so
/// that after a long absence nobody else is kept waiting for longer; and some 30 MB of memory.
const BATCH_MAX: usize = 40_000;

/// Records that a lane keeps room for between two batches: 400 kB. What a large batch has needed is given back.
const RECORDS_KEPT: usize = 4_096;

/// A database that refuses so many records one after the other has another trouble than they: from then on they are set
/// aside at the pace of its failures.
const SET_ASIDE_MAX: u32 = 100;

/// A batch that still doesn't fit after so many careful tries never will: others that write what it writes, at just the wrong
/// moments, aren't the reason any more.
const MISFITS_MAX: u32 = 10;

/// More often the last batch isn't tried.
const FINISH_TRIES: u32 = 20;

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
    lanes: Lanes,
    /// Reads on from where the lane is that is furthest behind. `None`: the marks are to be read first.
    reader: Option<Reader>,
    baselines: Baselines,
    /// The earliest announce of a session whose baseline was put since they aged last, and between then and the time before.
    hinted: [UnixTime; 2],
    /// Records to take at once: less after a refusal, until the record that is refused stands alone.
    size: usize,
    set_aside_in_a_row: u32,
    /// The last batch was refused for its content, and the next will be another.
    is_narrowing: bool,
    /// Before the next record is set aside, as there have been so many.
    has_waited: bool,
    /// How far the journal was when this process began, until the database has all of that.
    inherited: Option<Position>,
    /// When the oldest record that isn't in the database was announced.
    oldest: Option<UnixTime>,
    meters: Meters,
    retire_at: Instant,
}

impl Persister {
    /// Goes on where the database is, with what loading has learned of it.
    pub fn new(
        store: Store,
        tracker: Arc<Tracker>,
        log: Log,
        lanes: Lanes,
        baselines: Baselines,
    ) -> Self {
        Self {
            store,
            tracker,
            reader: Some(log.reader(lanes.applied())),
            inherited: Some(log.end()).filter(|&end| lanes.applied() < end),
            log,
            size: BATCH_MAX * lanes.0.len(),
            lanes,
            baselines,
            hinted: [UnixTime(u32::MAX); 2],
            set_aside_in_a_row: 0,
            is_narrowing: false,
            has_waited: false,
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
            if self.inherited.is_some_and(|end| end <= self.applied()) {
                self.inherited = None;
                tracing::info!("what the journal had of an earlier process is in the database now");
            }
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
        while self.lanes.applied().0 < end {
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
        while self.lanes.applied().0 < end && self.step().await? {}
        Ok(())
    }

    /// The database has everything up to here.
    pub fn applied(&self) -> Position {
        self.lanes.applied()
    }

    /// One batch a lane, at most. False when there was nothing to do; after an error, the next step starts from the
    /// marks.
    pub async fn step(&mut self) -> Result<bool, FlushError> {
        self.is_narrowing = false;
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.find_place().await?,
        };
        let (to, read) = self.read(&mut reader)?;
        if read == 0 {
            self.reader = Some(reader);
            return Ok(false);
        }
        let batches = self.batches(to);
        for (lane, batch) in self.lanes.0.iter_mut().zip(&batches) {
            lane.doubt = batch.as_ref().map(|batch| batch.mark.to);
        }
        let store = &self.store;
        let applying = batches.iter().map(async |batch| match batch {
            Some(batch) => Some(apply(store, batch).await),
            None => None,
        });
        let outcomes = join_all(applying).await;
        let mut trouble = Ok(true);
        for (lane, (batch, outcome)) in batches.iter().zip(outcomes).enumerate() {
            if let (Some(batch), Some(outcome)) = (batch, outcome)
                && let Err(error) = self.conclude(lane, batch, outcome, read).await
            {
                trouble = Err(error);
            }
        }
        self.drop_segments();
        if trouble.is_ok() {
            self.reader = Some(reader);
            // With more to come, the age of what has just been brought in is near enough.
            self.oldest = self.oldest.filter(|_| self.applied() < self.log.end());
            self.size = (self.size * 2).min(BATCH_MAX * self.lanes.0.len());
        }
        trouble
    }

    /// Deals the next records out to the lanes. Up to which position, and how many.
    fn read(&mut self, reader: &mut Reader) -> Result<(u64, usize), ReadError> {
        let lanes = &mut self.lanes;
        let mut to = lanes.applied().0;
        let mut oldest = None::<UnixTime>;
        lanes.0.iter_mut().for_each(|lane| lane.records.clear());
        let read = reader.read(self.size, |position, record| {
            to = position.0;
            oldest = Some(oldest.map_or(record.at, |oldest| oldest.min(record.at)));
            if let Some(lane) = lanes.of(record.session.user)
                && lane.position < position.0
            {
                lane.records.push(*record);
            }
        })?;
        self.oldest = oldest;
        Ok((to, read))
    }

    /// A lane that is there already has nothing to do.
    fn batches(&mut self, to: u64) -> Vec<Option<Batch>> {
        let baselines = &self.baselines;
        let hints_since = self.hinted[0].min(self.hinted[1]);
        let silence_secs = self.tracker.settings.load().peer_timeout_secs();
        let batch = |lane: &mut Lane| Batch {
            mark: Mark {
                journal: lane.name.clone(),
                from: lane.position,
                to,
            },
            sessions: merge(&mut lane.records, silence_secs, |key| baselines.get(key)),
            silence_secs,
            hints_since,
        };
        let lanes = self.lanes.0.iter_mut();
        lanes
            .map(|lane| (lane.position < to).then(|| batch(lane)))
            .collect()
    }

    /// What came of a lane's batch.
    async fn conclude(
        &mut self,
        lane: usize,
        batch: &Batch,
        outcome: Outcome,
        read: usize,
    ) -> Result<(), FlushError> {
        if outcome.was_stale {
            self.meters.stale.increment(1);
        }
        let is_clear = match &outcome.applied {
            Ok(_) => true,
            Err(FlushError::Store(error)) => !error.is_unclear(),
            Err(_) => false,
        };
        if is_clear {
            self.lane(lane).doubt = None;
        }
        match outcome.applied {
            Ok(applied) => {
                if applied.set_aside == 0 && read > 1 {
                    self.set_aside_in_a_row = 0;
                }
                self.meters.flush_seconds.record(outcome.took);
                if self.size == BATCH_MAX * self.lanes.0.len() {
                    self.lane(lane).misfits = 0;
                }
                self.take_over(lane, batch, &applied);
                Ok(())
            }
            Err(FlushError::Store(refused)) if refused.is_about_the_data() => {
                self.narrow(lane, batch, refused, read).await
            }
            Err(FlushError::Store(misfit @ StoreError::Stale)) => {
                let misfits = &mut self.lane(lane).misfits;
                *misfits += 1;
                if *misfits <= MISFITS_MAX {
                    return Err(misfit.into());
                }
                self.narrow(lane, batch, misfit, read).await
            }
            Err(error) => {
                if !is_clear {
                    // Perhaps it is too much for its time, its memory or its disk.
                    self.size = (read / 2).max(BATCH_MIN);
                }
                Err(error)
            }
        }
    }

    /// The database refuses something in the batch, even carefully, or something in it never fits. It is asked for less and less at a time, and the
    /// record that is refused even alone is set aside, with the reason, for the operator.
    async fn narrow(
        &mut self,
        lane: usize,
        batch: &Batch,
        refused: StoreError,
        read: usize,
    ) -> Result<(), FlushError> {
        if read > 1 {
            self.size = read / 2;
            self.is_narrowing = true;
            return Err(refused.into());
        }
        if self.set_aside_in_a_row >= SET_ASIDE_MAX && !self.has_waited {
            self.has_waited = true;
            return Err(refused.into());
        }
        self.has_waited = false;
        let reason = refused.to_string();
        self.lane(lane).doubt = Some(batch.mark.to);
        let setting_aside = self.store.set_aside(batch, &reason, UnixTime::now());
        timeout(APPLY_LIMIT, setting_aside)
            .await
            .map_err(|_| FlushError::Silent)??;
        self.lane(lane).doubt = None;
        self.set_aside_in_a_row += 1;
        for change in &batch.sessions {
            tracing::error!(
                user = change.key.user.0,
                torrent = change.key.torrent.0,
                position = batch.mark.to,
                reason,
                "an announce was set aside: see the table set_aside"
            );
        }
        let set_aside = Applied {
            baselines: vec![None; batch.sessions.len()],
            set_aside: batch.sessions.len() as u64,
            ..Applied::default()
        };
        self.take_over(lane, batch, &set_aside);
        Ok(())
    }

    /// Asks the database how far it is, and reads on from there. A transaction that was given up may still be at work
    /// over there: its end is waited for, so that no doubt is left.
    async fn find_place(&mut self) -> Result<Reader, FlushError> {
        for lane in &mut self.lanes.0 {
            let asked = timeout(APPLY_LIMIT, self.store.settled_mark(&lane.name)).await;
            let found = asked.map_err(|_| FlushError::Silent)??;
            if found > lane.position && Some(found) != lane.doubt {
                return Err(FlushError::Foreign);
            }
            if found < lane.position {
                tracing::error!(
                    had = lane.position,
                    has = found,
                    "the database has forgotten announces: was a backup restored? Replaying what is in the journal"
                );
            }
            (lane.position, lane.doubt) = (found, None);
        }
        self.drop_segments();
        Ok(self.log.reader(self.lanes.applied()))
    }

    /// What the transaction found out goes back into memory.
    fn take_over(&mut self, lane: usize, batch: &Batch, applied: &Applied) {
        for (change, baseline) in batch.sessions.iter().zip(&applied.baselines) {
            match baseline {
                // Few come again once they have said `stopped`: most clients take a new peer id.
                Some(baseline) if change.active => {
                    self.hinted[0] = self.hinted[0].min(change.announced_at);
                    self.baselines.put(change.key, *baseline);
                }
                _ => self.baselines.forget(&change.key),
            }
        }
        for &(torrent, snatches) in &applied.snatches {
            self.tracker.swarms.add_completed(torrent, snatches);
        }
        let lane = self.lane(lane);
        lane.position = batch.mark.to;
        let records = lane.records.len() as u64;
        lane.records.clear();
        lane.records.shrink_to(RECORDS_KEPT);
        let meters = &self.meters;
        meters.records.increment(records);
        meters.uploaded.increment(applied.growth.uploaded);
        meters.downloaded.increment(applied.growth.downloaded);
        meters.set_aside.increment(applied.set_aside);
    }

    /// By its number: there is one for each outcome.
    fn lane(&mut self, number: usize) -> &mut Lane {
        &mut self.lanes.0[number]
    }

    fn drop_segments(&self) {
        if let Err(error) = self.log.drop_through(self.lanes.applied()) {
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
        // So the baselines of a session that has fallen silent are forgotten once it has missed two to four announces.
        if Instant::now() >= self.retire_at {
            self.baselines.age();
            self.hinted = [UnixTime(u32::MAX), self.hinted[0]];
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
            records: self.log.end().0.saturating_sub(self.lanes.applied().0),
        })
    }
}
