//! How much room peers take, part by part: what the process has grown by once it has taken them in, what it gives back
//! when they fall silent, and what it needs when they come again.
//!
//! They come in random order, over two threads that stay, as to workers: how swarms grow is half of what they take. A
//! third thread sweeps, as the persister does.

use std::fs;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use persister::baselines::Baselines;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::{Event, Role};
use tracker_core::refusal::Refusal;
use tracker_core::tracker::{Outcome, Scratch};

use crate::ledger::report::{Report, bar};
use crate::site::{self, NOW, Session, Site};
use crate::workload::NUMWANT;

/// How many peers, and where.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// In all.
    pub peers: u32,
    /// To which they are dealt out.
    pub torrents: u32,
    /// How.
    pub spread: Spread,
}

/// How peers are dealt out to torrents.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Spread {
    /// The same number to each.
    Even,
    /// By Zipf 0.8.
    Zipf,
}

/// Threads that announce.
const WORKERS: usize = 2;

/// Announces between two drains of the outbox.
const BETWEEN_DRAINS: usize = 200;

/// Every tenth session is another member's, where the swarms are small enough.
const SESSIONS_A_MEMBER: u32 = 10;

/// When the peers that came at [`NOW`] have long fallen silent, and those that come again have not.
const LATER: UnixTime = UnixTime(NOW.0 + 86_400);

/// What the allocator gets before each measurement, to give back what it will.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Time.
    pub settle: Duration,
    /// Announces that each worker refuses meanwhile.
    pub refused: usize,
}

/// Fills a tracker, empties it, and fills it again.
pub fn run(extent: Extent, Rest { settle, refused }: Rest) -> Result<Report> {
    let Extent {
        peers, torrents, ..
    } = extent;
    let mut report = Report::new(format!(
        "memory: {peers} peers, {torrents} torrents, {:?}",
        extent.spread
    ));
    let swarms = match extent.spread {
        Spread::Even => vec![peers / torrents; torrents as usize],
        Spread::Zipf => site::zipf(torrents, peers),
    };
    let largest = swarms.iter().copied().max().unwrap_or_default();
    let members = largest.max(peers / SESSIONS_A_MEMBER);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut first = site::sessions(&swarms, members);
    first.shuffle(&mut rng);
    let mut second = first.clone();
    second.shuffle(&mut rng);
    let peers = first.len() as f64;

    let site = Site::new(&[], members);
    let empty = resident(settle)?;
    (1..=torrents).for_each(|id| site.put_torrent(TorrentId(id)));
    let registered = resident(settle)?;
    let bar = bar("announces", 2 * first.len() as u64);

    let barrier = Barrier::new(WORKERS + 1);
    let share = first.len().div_ceil(WORKERS);
    let mut baselines = Baselines::default();
    scope(|threads| -> Result<()> {
        for (first, second) in first.chunks(share).zip(second.chunks(share)) {
            threads.spawn(|| {
                let mut worker = Worker::new(&site, &bar, refused);
                worker.announce(first, NOW);
                worker.refuse();
                barrier.wait();
                barrier.wait();
                worker.refuse();
                barrier.wait();
                barrier.wait();
                worker.announce(second, LATER);
                worker.refuse();
                barrier.wait();
            });
        }
        barrier.wait();
        let filled = resident(settle)?;
        learn(&mut baselines, &first, &mut rng);
        let mut here = Worker::new(&site, &bar, refused);
        here.refuse();
        let remembered = resident(settle)?;
        let swept = sweep(&site)?;
        (0..2).for_each(|_| baselines.age());
        barrier.wait();
        here.refuse();
        barrier.wait();
        let emptied = resident(settle)?;
        barrier.wait();
        barrier.wait();
        learn(&mut baselines, &second, &mut rng);
        let refilled = resident(settle)?;

        let grown = |from: f64, to: f64, by: f64| vec![(to - from) / by];
        let all = remembered - registered;
        report.figure(
            "members and the bench itself, bytes a peer",
            vec![empty / peers],
        );
        report.figure(
            "registering, bytes a torrent",
            grown(empty, registered, torrents.into()),
        );
        report.figure("swarms, bytes a peer", grown(registered, filled, peers));
        report.figure(
            "baselines, bytes a session",
            grown(filled, remembered, peers),
        );
        report.aim(
            "both, bytes a peer",
            grown(registered, remembered, peers),
            "at most 100",
        );
        report.figure(
            "all, torrents too, bytes a peer",
            grown(empty, remembered, peers),
        );
        report.figure(
            "given back after expiry, of the growth",
            grown(emptied, remembered, all),
        );
        report.aim(
            "growth once filled again, of the first",
            grown(registered, refilled, all),
            "at most 1.2",
        );
        report.figure("sweep, seconds", vec![swept.took.as_secs_f64()]);
        report.figure("sweep, µs before the first step", vec![swept.first]);
        report.figure("sweep, µs of a step, 99.9 %", vec![swept.rare]);
        report.figure("sweep, µs of the longest step", vec![swept.longest]);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(report)
}

/// Announces as a tracker's worker does, and empties the outbox as its recorder does.
struct Worker<'a> {
    site: &'a Site,
    bar: &'a ProgressBar,
    refused: usize,
    scratch: Scratch,
}

impl<'a> Worker<'a> {
    fn new(site: &'a Site, bar: &'a ProgressBar, refused: usize) -> Self {
        Self {
            site,
            bar,
            refused,
            scratch: Scratch::new(),
        }
    }

    /// Goes about other business, in which the allocator tidies up: it looks at a thread's memory now and then, as that
    /// thread asks for more.
    fn refuse(&mut self) {
        let nowhere = Session {
            user: UserId(1),
            torrent: TorrentId(0),
            role: Role::Leecher,
        };
        for _ in 0..self.refused {
            let ask = self.site.ask(&nowhere, Event::None, NUMWANT);
            let (key, query) = (ask.key.as_bytes(), ask.query.as_bytes());
            let tracker = &self.site.tracker;
            let announced = tracker.announce(Some(key), query, ask.from, NOW, &mut self.scratch);
            let unregistered = Outcome::Refused(Refusal::UnregisteredTorrent);
            assert_eq!(announced.outcome, unregistered);
        }
    }

    /// Each session says `started`.
    fn announce(&mut self, sessions: &[Session], now: UnixTime) {
        let tracker = &self.site.tracker;
        let mut records = Vec::new();
        for some in sessions.chunks(BETWEEN_DRAINS) {
            for session in some {
                let ask = self.site.ask(session, Event::Started, NUMWANT);
                let (key, query) = (ask.key.as_bytes(), ask.query.as_bytes());
                let announced =
                    tracker.announce(Some(key), query, ask.from, now, &mut self.scratch);
                assert_eq!(announced.outcome, Outcome::Answered);
            }
            tracker.outbox.drain(&mut records, |_| {});
            self.bar.inc(some.len() as u64);
        }
    }
}

/// Their baselines, as the ledger finds them out.
fn learn(baselines: &mut Baselines, sessions: &[Session], rng: &mut SmallRng) {
    for session in sessions {
        let counters = Counters {
            uploaded: rng.random_range(0..1 << 40),
            downloaded: rng.random_range(0..1 << 36),
        };
        let mut stored = session.stored();
        stored.baseline = Baseline::starting_at(counters);
        baselines.learn(&stored);
    }
}

/// How a sweep went; times in microseconds.
struct Swept {
    took: Duration,
    first: f64,
    rare: f64,
    longest: f64,
}

/// Everybody has fallen silent.
fn sweep(site: &Site) -> Result<Swept> {
    let swarms = &site.tracker.swarms;
    let begun = Instant::now();
    let mut last = begun;
    let mut steps = Vec::new();
    let pause = async || {
        steps.push(last.elapsed().as_secs_f64() * 1e6);
        last = Instant::now();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(swarms.sweep(LATER, |_| true, pause));
    let took = begun.elapsed();
    let left: u64 = [Role::Leecher, Role::Seeder, Role::Partial]
        .map(|role| swarms.peers(role))
        .iter()
        .sum();
    ensure!(left == 0, "{left} peers stay");
    let first = steps.first().copied().unwrap_or_default();
    let mut steps = steps.split_off(1);
    steps.sort_by(f64::total_cmp);
    Ok(Swept {
        took,
        first,
        rare: steps
            .get(steps.len() * 999 / 1000)
            .copied()
            .unwrap_or_default(),
        longest: steps.last().copied().unwrap_or_default(),
    })
}

/// Bytes of this process that are in memory, once the allocator has had its time to give back what it doesn't need:
/// it does so in passing, at some later allocation.
fn resident(settle: Duration) -> Result<f64> {
    for _ in 0..TURNS {
        sleep(settle / TURNS);
        black_box(Vec::<u8>::with_capacity(1 << 20));
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("no VmRSS")?.parse()?;
    Ok(kilobytes * 1024.0)
}

/// How often memory is asked for while the allocator settles.
const TURNS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Rest = Rest {
        settle: Duration::ZERO,
        refused: 1,
    };

    #[test]
    fn peers_come_fall_silent_and_come_again() {
        for spread in [Spread::Even, Spread::Zipf] {
            let extent = Extent {
                peers: 400,
                torrents: 20,
                spread,
            };
            let report = run(extent, NONE).expect("a report");
            assert_eq!(report.values("both, bytes a peer").map(<[_]>::len), Some(1));
        }
    }
}
