//! What the journal adds to an announce: the real server with one worker, with and without the journal behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use persister::recorder::Recorder;
use tokio::runtime::Builder;
use tracker_core::server::{Listener, Options};
use tracker_core::tracker::Tracker;

use super::announcers::{self, Events};
use super::report::{Report, bar};
use super::{cpu, records};
use crate::Size;
use crate::site::Site;

const REGULAR: Events = Events {
    started: 0,
    stopped: 0,
    completed: 0,
};

const MIX: Events = Events {
    started: 4,
    stopped: 4,
    completed: 2,
};

/// The default of `persister.fsync_interval_ms`.
const FSYNC_INTERVAL: Duration = Duration::from_secs(1);

struct Plan {
    torrents: u32,
    peers: u32,
    connections: usize,
    announces: u64,
    rounds: usize,
}

/// The journals go into `dir`.
pub fn run(size: Size, dir: &Path) -> Result<Report> {
    let plan = Plan {
        torrents: size.pick(10, 1_000),
        peers: size.pick(200, 20_000),
        connections: size.pick(8, 64),
        announces: size.pick(1_000, 150_000),
        rounds: size.pick(1, 3),
    };
    let mut report = Report::new("journal");
    let cases = [
        ("mix", MIX, FSYNC_INTERVAL, "under 0.05"),
        ("regular alone", REGULAR, FSYNC_INTERVAL, "under 0.05"),
        ("mix, fsync_interval 0", MIX, Duration::ZERO, ""),
    ];
    let turns = bar("turns", (cases.len() * 2 * plan.rounds) as u64);
    for (name, events, fsync_interval, aim) in cases {
        let (mut bare, mut journalled) = (vec![], vec![]);
        for _ in 0..plan.rounds {
            bare.push(turn(&plan, events, None, dir)?);
            turns.inc(1);
            journalled.push(turn(&plan, events, Some(fsync_interval), dir)?);
            turns.inc(1);
        }
        tell(&mut report, name, aim, &bare, &journalled);
    }
    turns.finish_and_clear();
    report.note(
        "the worker without the journal leaves records in the outbox all the same; another thread throws them away",
    );
    Ok(report)
}

/// µs of CPU an announce.
#[derive(Clone, Copy, Debug)]
struct Cost {
    worker: f64,
    writing: f64,
    syncing: f64,
    /// Announces a second.
    rate: f64,
}

fn tell(report: &mut Report, name: &str, aim: &'static str, bare: &[Cost], with: &[Cost]) {
    let all = |costs: &[Cost], figure: fn(&Cost) -> f64| costs.iter().map(figure).collect();
    report.figure(
        format!("{name}: worker without the journal, µs"),
        all(bare, |cost| cost.worker),
    );
    report.figure(
        format!("{name}: worker with it, µs"),
        all(with, |cost| cost.worker),
    );
    report.figure(
        format!("{name}: its writing thread, µs"),
        all(with, |cost| cost.writing),
    );
    report.figure(
        format!("{name}: its syncing thread, µs"),
        all(with, |cost| cost.syncing),
    );
    let share = |(bare, with): (&Cost, &Cost)| {
        (with.writing + with.syncing + with.worker - bare.worker) / bare.worker
    };
    let shares = bare.iter().zip(with).map(share).collect();
    report.aim(
        format!("{name}: the journal's share of an announce"),
        shares,
        aim,
    );
    let threads = |(bare, with): (&Cost, &Cost)| (with.writing + with.syncing) / bare.worker;
    let shares = bare.iter().zip(with).map(threads).collect();
    report.figure(format!("{name}: its threads' share alone"), shares);
    report.figure(
        format!("{name}: announces/s without"),
        all(bare, |cost| cost.rate),
    );
    report.figure(
        format!("{name}: announces/s with"),
        all(with, |cost| cost.rate),
    );
}

/// One server's life. Without an interval, there is no journal.
fn turn(plan: &Plan, events: Events, journal: Option<Duration>, dir: &Path) -> Result<Cost> {
    let site = Rc::new(Site::zipf(plan.torrents, plan.peers));
    let folder = tempfile::tempdir_in(dir)?;
    let emptying = match journal {
        Some(interval) => {
            let (writer, log) = records::open(folder.path())?;
            Emptying::Journal(Recorder::start(
                Arc::clone(&site.tracker),
                writer,
                log,
                interval,
            )?)
        }
        None => Emptying::start(&site.tracker),
    };
    let options = Options {
        http: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        workers: 1,
        max_connections: 0,
        ..Options::default()
    };
    let listener = Listener::bind(&options)?;
    let address = *listener.http().first().context("no address")?;
    let server = listener.serve(&site.tracker)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let announce = |count| {
        runtime.block_on(announcers::announce(
            &site,
            address,
            events,
            plan.connections,
            count,
        ))
    };
    // Caches and connections are warm then.
    announce(plan.announces / 10)?;
    let (before, begun) = (spent()?, Instant::now());
    announce(plan.announces)?;
    let (after, wall) = (spent()?, begun.elapsed());
    server.stop();
    emptying.stop()?;
    let micros = |n: usize| (after[n] - before[n]).as_secs_f64() * 1e6 / plan.announces as f64;
    ensure!(micros(0) > 0.0, "the worker did nothing");
    Ok(Cost {
        worker: micros(0),
        // The two names begin alike.
        writing: micros(1) - micros(2),
        syncing: micros(2),
        rate: plan.announces as f64 / wall.as_secs_f64(),
    })
}

fn spent() -> Result<[Duration; 3]> {
    let [worker, both, syncing] = ["announce-", "journal", "journal-sync"].map(cpu::of_threads);
    Ok([worker?, both?, syncing?])
}

/// What takes the records out of the outbox.
enum Emptying {
    Journal(Recorder),
    Nothing(Arc<AtomicBool>, thread::JoinHandle<()>),
}

impl Emptying {
    /// Throws them away, seldom enough to cost the worker nothing, and often enough that no lane is full.
    fn start(tracker: &Arc<Tracker>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tracker, stopped) = (Arc::clone(tracker), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = Vec::new();
            while !stopped.load(Relaxed) {
                tracker.outbox.drain(&mut buffer, |_| {});
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        Self::Nothing(stop, thread)
    }

    fn stop(self) -> Result<()> {
        match self {
            Self::Journal(recorder) => recorder.stop()?,
            Self::Nothing(stop, thread) => {
                stop.store(true, Relaxed);
                thread.thread().unpark();
                ensure!(thread.join().is_ok(), "a thread panicked");
            }
        }
        Ok(())
    }
}
