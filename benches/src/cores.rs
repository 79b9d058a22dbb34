//! What a second core is worth: one thread that announces, and two at once, at one site.
//!
//! Without sockets, so that nobody else needs a core: over the network a load generator takes one of the two. What two
//! workers share is all here (swarms' shards, the roster, standings, the outbox), and each empties the outbox now and
//! then, as the journal does, so that nothing waits for a third thread.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracker_core::record::{Event, Record};
use tracker_core::tracker::{Outcome, Scratch};

use crate::Size;
use crate::ledger::report::{Report, bar};
use crate::site::{NOW, Site};
use crate::traffic::Ask;
use crate::workload::NUMWANT;

/// Announces between two drains of the outbox.
const BETWEEN_DRAINS: usize = 200;

/// Sessions that two threads have in common: half each, and any torrent may be both's.
struct Bench {
    site: Site,
    halves: [Vec<Ask>; 2],
    announces: usize,
}

/// Rounds of one thread and two, in turn.
pub fn run(size: Size, rounds: usize) -> Result<Report> {
    let (torrents, peers, announces) = size.pick((100, 2_000, 2_000), (1_000, 20_000, 2_000_000));
    let site = Site::zipf(torrents, peers);
    let asks = |half| {
        let sessions = site.sessions.iter().skip(half).step_by(2);
        sessions
            .map(|session| site.ask_with_token(session, Event::None, NUMWANT))
            .collect()
    };
    let bench = Bench {
        halves: [asks(0), asks(1)],
        site,
        announces,
    };
    let mut report = Report::new(format!(
        "cores: {torrents} torrents by Zipf, {peers} peers, tokens, in process"
    ));
    let bar = bar("rounds", rounds as u64);
    let (mut ones, mut twos, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    bench.rate(2)?;
    for _ in 0..rounds {
        let (one, two) = (bench.rate(1)?, bench.rate(2)?);
        ones.push(one);
        twos.push(two);
        ratios.push(two / one);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.figure("announces/s of one thread", ones);
    report.figure("announces/s of two", twos);
    report.aim("two over one", ratios, "at least 1.8");
    Ok(report)
}

impl Bench {
    /// Announces a second of so many threads together.
    fn rate(&self, threads: usize) -> Result<f64> {
        let barrier = Barrier::new(threads);
        let halves = &self.halves[..threads];
        let took = scope(|scope| {
            let workers: Vec<_> = halves
                .iter()
                .map(|asks| scope.spawn(|| self.announce(asks, &barrier)))
                .collect();
            let took = workers.into_iter().map(|worker| worker.join());
            took.map(|took| took.ok().context("a thread panicked")?)
                .collect::<Result<Vec<Duration>>>()
        })?;
        let longest = took.into_iter().max().context("no threads")?;
        Ok((threads * self.announces) as f64 / longest.as_secs_f64())
    }

    fn announce(&self, asks: &[Ask], barrier: &Barrier) -> Result<Duration> {
        let mut scratch = Scratch::new();
        let mut records: Vec<Record> = Vec::new();
        barrier.wait();
        let begun = Instant::now();
        for (made, ask) in asks.iter().cycle().take(self.announces).enumerate() {
            let key = Some(ask.key.as_bytes());
            let query = ask.query.as_bytes();
            let tracker = &self.site.tracker;
            let announced = tracker.announce(key, query, ask.from, NOW, &mut scratch);
            ensure!(
                announced.outcome == Outcome::Answered,
                "{:?}",
                announced.outcome
            );
            if made % BETWEEN_DRAINS == 0 {
                tracker.outbox.drain(&mut records, |record| {
                    black_box(record);
                });
            }
        }
        Ok(begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_announce_of_both_threads_is_answered() {
        let report = run(Size::Small, 1).unwrap();
        assert!(report.values("announces/s of two").unwrap()[0] > 0.0);
    }
}
