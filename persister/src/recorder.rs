//! The journal's thread: what announces leave in the outbox goes to disk, round by round.
//!
//! Group commit without a timer: while one round is written the next gathers, and as soon as the write returns it is
//! taken. Only announces that nobody waits for are let gather for some milliseconds, so that many share a write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};
use tracker_core::outbox::{Pressure, Round};
use tracker_core::record::Record;
use tracker_core::tracker::Tracker;

use crate::journal::{self, Log, Syncer, Writer};

/// How long an announce that nobody waits for may stay out of the journal. A crash costs no more than that of them, and
/// no credit: the client's next announce carries the same counters.
const LINGER: Duration = Duration::from_millis(5);

/// How often the thread looks round when nothing happens.
const LOOK_ROUND: Duration = Duration::from_secs(1);

/// How often it looks how much room there is: within it, a machine writes far less than the room kept for last words.
const PRESSURE_PERIOD: Duration = Duration::from_millis(50);

/// Records in one write: half a megabyte.
const APPEND_MAX: usize = 8192;

/// Records that there is always room for in memory.
const HELD_KEPT: usize = 65_536;

/// Between two tries to write to a disk that refuses.
const RETRY: Duration = Duration::from_millis(500);

/// The threads that write the journal and sync it.
#[derive(Debug)]
pub struct Recorder {
    tracker: Arc<Tracker>,
    stop: Arc<AtomicBool>,
    writing: JoinHandle<Result<(), Unwritten>>,
    syncing: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The process ends, and the disk hasn't taken everything.
#[derive(Debug, thiserror::Error)]
#[error("the journal couldn't be written to its end, {records} announces are lost: {reason}")]
pub struct Unwritten {
    /// Announces that are nowhere. None of them was promised to be; 0 if all are written, and not all synced.
    pub records: usize,
    /// What the disk said.
    pub reason: io::Error,
}

impl Recorder {
    /// Returns once the journal listens: from then on events wait for it. With `fsync_interval` zero every
    /// acknowledged event is synced before its answer.
    pub fn start(
        tracker: Arc<Tracker>,
        writer: Writer,
        log: Log,
        fsync_interval: Duration,
    ) -> io::Result<Self> {
        let syncing = match fsync_interval.is_zero() {
            true => None,
            false => {
                let (stop, stopped) = channel();
                let syncer = writer.syncer();
                let thread = Builder::new()
                    .name("journal-sync".to_owned())
                    .spawn(move || sync_now_and_then(&syncer, fsync_interval, &stopped))?;
                Some((stop, thread))
            }
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (attach, attached) = channel();
        let mut thread = Thread {
            tracker: Arc::clone(&tracker),
            writer,
            log,
            sync_events: fsync_interval.is_zero(),
            stop: Arc::clone(&stop),
            held: Vec::new(),
            unsynced: false,
            buffer: Vec::new(),
            look_at: Instant::now(),
            meters: Meters::new(),
        };
        let writing = Builder::new().name("journal".to_owned()).spawn(move || {
            thread.tracker.outbox.attach_journal();
            let _ = attach.send(());
            thread.run()
        })?;
        // An error means that the thread has ended: stop() will say how.
        let _ = attached.recv();
        Ok(Self {
            tracker,
            stop,
            writing,
            syncing,
        })
    }

    /// Writes and syncs what is there. To be called after the last announce. Blocks.
    pub fn stop(self) -> Result<(), Unwritten> {
        self.stop.store(true, Relaxed);
        self.tracker.outbox.wake();
        let written = self.writing.join().unwrap_or_else(|_| {
            Err(Unwritten {
                records: 0,
                reason: io::Error::other("the journal's thread panicked"),
            })
        });
        if let Some((stop, thread)) = self.syncing {
            drop(stop);
            // It holds nothing but file handles.
            let _ = thread.join();
        }
        written
    }

    /// Whether the thread has ended, which it doesn't before it is told to unless it panics.
    pub fn is_finished(&self) -> bool {
        self.writing.is_finished()
    }
}

struct Thread {
    tracker: Arc<Tracker>,
    writer: Writer,
    log: Log,
    sync_events: bool,
    stop: Arc<AtomicBool>,
    /// Out of the outbox and not in the journal.
    held: Vec<Record>,
    /// Events were written that only a sync makes safe, if `sync_events`.
    unsynced: bool,
    buffer: Vec<Record>,
    /// When to look again how much room there is.
    look_at: Instant,
    meters: Meters,
}

impl Thread {
    fn run(&mut self) -> Result<(), Unwritten> {
        let mut failing = false;
        loop {
            let stopping = self.stop.load(Relaxed);
            if !stopping {
                let outbox = &self.tracker.outbox;
                outbox.wait(LINGER, Instant::now() + LOOK_ROUND);
            }
            match self.round() {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the journal is written again");
                }
                Ok(()) => {}
                Err(reason) if stopping => {
                    self.gather();
                    return Err(Unwritten {
                        records: self.held.len(),
                        reason,
                    });
                }
                Err(error) => {
                    self.meters.failures.increment(1);
                    self.set_pressure(Pressure::Broken);
                    if !failing {
                        failing = true;
                        tracing::error!(%error, "the journal can't be written: no event is acknowledged, trying on");
                    }
                    self.pause();
                    continue;
                }
            }
            if stopping {
                return self
                    .writer
                    .sync()
                    .map_err(|reason| Unwritten { records: 0, reason });
            }
        }
    }

    /// Takes what has gathered and writes it, after what couldn't be written the last time.
    fn round(&mut self) -> io::Result<()> {
        self.write()?;
        let round = self.gather();
        self.write()?;
        if self.sync_events && self.unsynced {
            // Should it fail, what is written isn't written again, as that would count it twice; the next append goes to
            // another file.
            self.writer.sync()?;
            self.unsynced = false;
        }
        self.done(round);
        Ok(())
    }

    fn gather(&mut self) -> Round {
        let held = &mut self.held;
        let outbox = &self.tracker.outbox;
        outbox.drain(&mut self.buffer, |record| held.push(*record))
    }

    /// Piece by piece: of much that was held, what still has room goes in.
    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = self.held.chunks(APPEND_MAX).try_for_each(|piece| {
            self.writer.append(piece)?;
            written += piece.len();
            Ok(())
        });
        let gone = self.held.drain(..written);
        self.unsynced |= gone
            .into_iter()
            .any(|record| record.event.is_acknowledged());
        self.meters.records.increment(written as u64);
        if self.held.is_empty() {
            self.held.shrink_to(HELD_KEPT);
            self.buffer.shrink_to(HELD_KEPT);
        }
        result
    }

    /// Announces go on ringing meanwhile: only a wish to stop ends it early.
    fn pause(&self) {
        let until = Instant::now() + RETRY;
        while !self.stop.load(Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            park_timeout(left);
        }
    }

    fn done(&mut self, round: Round) {
        let now = Instant::now();
        if now >= self.look_at || self.tracker.outbox.pressure() == Pressure::Broken {
            self.look_at = now + PRESSURE_PERIOD;
            let pressure = match self.writer.pressure() {
                journal::Pressure::Free => Pressure::Free,
                journal::Pressure::Tight => Pressure::Tight,
                journal::Pressure::Full => Pressure::Full,
            };
            self.set_pressure(pressure);
            self.meters.bytes.set(self.log.bytes() as f64);
        }
        self.tracker.outbox.done(round);
    }

    fn set_pressure(&self, pressure: Pressure) {
        let outbox = &self.tracker.outbox;
        let before = outbox.pressure();
        if before == pressure {
            return;
        }
        outbox.set_pressure(pressure);
        self.meters.pressure.set(f64::from(pressure as u8));
        let bytes = self.log.bytes();
        match pressure {
            Pressure::Free => tracing::info!("the journal has room again"),
            Pressure::Tight => {
                tracing::warn!(
                    bytes,
                    "the journal is filling up, or its disk has no room for more: announces that say nothing new leave \
                     no record"
                );
            }
            Pressure::Full => {
                tracing::error!(
                    bytes,
                    "the journal is full: all announces but last words are refused until the database takes some of it, \
                     or there is more room"
                );
            }
            Pressure::Broken => {}
        }
    }
}

fn sync_now_and_then(syncer: &Syncer, interval: Duration, stopped: &Receiver<()>) {
    let failures = metrics::counter!("purser_journal_failures_total");
    let mut failing = false;
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        match syncer.sync() {
            Ok(_) if failing => {
                failing = false;
                tracing::info!("the journal is synced again");
            }
            Ok(_) => {}
            Err(error) if !failing => {
                failing = true;
                failures.increment(1);
                tracing::error!(%error, "the journal can't be synced: a power cut may cost what was acknowledged");
            }
            Err(_) => failures.increment(1),
        }
    }
}

struct Meters {
    bytes: Gauge,
    pressure: Gauge,
    records: Counter,
    failures: Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            bytes: metrics::gauge!("purser_journal_bytes"),
            pressure: metrics::gauge!("purser_journal_pressure"),
            records: metrics::counter!("purser_journal_records_total"),
            failures: metrics::counter!("purser_journal_failures_total"),
        }
    }
}
