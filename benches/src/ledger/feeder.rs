//! Announces into the journal, on a thread of their own, as long as the ledger isn't too far behind.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle, park};
use std::time::{Duration, Instant};

use persister::journal::{Log, Writer};
use tracker_core::record::Record;

use super::crowd::{Crowd, Mix};

/// Records of one write: what gathers in five milliseconds at 100,000 announces a second.
const ROUND: usize = 500;

/// The default of `persister.fsync_interval_ms`.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// Feeds while it is told to.
#[derive(Debug)]
pub(super) struct Feeder {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<Crowd>>,
}

#[derive(Debug)]
struct Shared {
    /// How far the database is.
    applied: AtomicU64,
    running: AtomicBool,
    stop: AtomicBool,
    /// The most that was ever waiting.
    records_max: AtomicU64,
    bytes_max: AtomicU64,
}

/// The most that was ever in the journal and not in the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Feeder {
    /// Begins at rest. It adds whenever less than `limit` records wait.
    pub(super) fn start(
        crowd: Crowd,
        mix: Mix,
        writer: Writer,
        log: Log,
        limit: u64,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            applied: AtomicU64::new(log.end().0),
            running: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            records_max: AtomicU64::new(0),
            bytes_max: AtomicU64::new(0),
        });
        let mut feeding = Feeding {
            shared: Arc::clone(&shared),
            crowd,
            mix,
            writer,
            log,
            limit,
        };
        let thread = Builder::new().name("feeder".to_owned()).spawn(move || {
            feeding.run()?;
            Ok(feeding.crowd)
        })?;
        Ok(Self { shared, thread })
    }

    /// Goes on, or rests.
    pub(super) fn feed(&self, running: bool) {
        self.shared.running.store(running, Relaxed);
        self.thread.thread().unpark();
    }

    /// The database has come so far.
    pub(super) fn applied(&self, position: u64) {
        self.shared.applied.store(position, Relaxed);
        self.thread.thread().unpark();
    }

    /// The most there was.
    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            records: self.shared.records_max.load(Relaxed),
            bytes: self.shared.bytes_max.load(Relaxed),
        }
    }

    /// Returns the crowd, once everything it has said is in the journal.
    pub(super) fn stop(self) -> io::Result<Crowd> {
        self.shared.stop.store(true, Relaxed);
        self.thread.thread().unpark();
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the feeder panicked")))
    }
}

struct Feeding {
    shared: Arc<Shared>,
    crowd: Crowd,
    mix: Mix,
    writer: Writer,
    log: Log,
    limit: u64,
}

impl Feeding {
    fn run(&mut self) -> io::Result<()> {
        let mut records = Vec::<Record>::with_capacity(ROUND);
        let mut synced = Instant::now();
        while !self.shared.stop.load(Relaxed) {
            let backlog = self.log.end().0 - self.shared.applied.load(Relaxed);
            if !self.shared.running.load(Relaxed) || backlog >= self.limit {
                park();
                continue;
            }
            records.clear();
            records.extend((0..ROUND).map(|_| self.crowd.announce(self.mix)));
            self.writer.append(&records)?;
            if synced.elapsed() >= SYNC_PERIOD {
                self.writer.sync()?;
                synced = Instant::now();
            }
            let backlog = backlog + ROUND as u64;
            self.shared.records_max.fetch_max(backlog, Relaxed);
            self.shared.bytes_max.fetch_max(self.log.bytes(), Relaxed);
        }
        Ok(())
    }
}
