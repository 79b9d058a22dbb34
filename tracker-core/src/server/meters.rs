//! Metrics. An announce adds to its worker's own counts; shared ones are told of them when the worker rests.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};

use crate::record::Event;
use crate::timings::{BUCKETS, Timings, bucket};
use crate::tracker::{Announced, Outcome};

/// Every outcome that isn't a refusal, then `refused`: a refusal's own name is counted apart, as it is rare.
const OUTCOMES: [&str; 3] = ["answered", "warned", "refused"];

/// Connections, which are few beside announces.
#[derive(Clone)]
pub(crate) struct Meters {
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter,
    pub(crate) timed_out: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            connections: metrics::gauge!("purser_connections"),
            turned_away: metrics::counter!("purser_connections_turned_away_total"),
            timed_out: metrics::counter!("purser_connections_timed_out_total"),
        }
    }
}

/// One worker's counts of one protocol since it last gave them.
pub(crate) struct Counts {
    protocol: &'static str,
    saved: Own,
    announces: [[(Own, Counter); OUTCOMES.len()]; Event::ALL.len()],
    scrapes: [(Own, Counter); OUTCOMES.len()],
    buckets: [Own; BUCKETS],
    nanos: Own,
    /// What the last one took that was timed.
    last_nanos: Own,
}

/// One announce in so many is timed, and those after it count as if they took as long: to read the clock twice costs a
/// tenth of an announce.
const TIMED: u64 = 8;

impl Counts {
    pub(crate) fn new(protocol: &'static str) -> Self {
        let announces = Event::ALL.map(|event| {
            OUTCOMES.map(|outcome| {
                let counter = metrics::counter!("purser_announces_total",
                    "protocol" => protocol, "event" => event.name(), "outcome" => outcome);
                (Own::default(), counter)
            })
        });
        let scrapes = OUTCOMES.map(|outcome| {
            let counter = metrics::counter!("purser_scrapes_total", "protocol" => protocol, "outcome" => outcome);
            (Own::default(), counter)
        });
        Self {
            protocol,
            saved: Own::default(),
            announces,
            scrapes,
            buckets: Default::default(),
            nanos: Own::default(),
            last_nanos: Own::default(),
        }
    }

    /// The time, if the announce that begins now is one of those that are timed.
    pub(crate) fn begin(&self) -> Option<Instant> {
        self.saved().is_multiple_of(TIMED).then(Instant::now)
    }

    pub(crate) fn announced(&self, announced: &Announced, took: Option<Duration>) {
        self.announces[announced.event as usize][position(announced.outcome)]
            .0
            .add(1);
        if let Some(took) = took {
            let nanos = u64::try_from(took.as_nanos());
            self.last_nanos.set(nanos.unwrap_or(u64::MAX));
        }
        let nanos = self.last_nanos.get();
        self.buckets[bucket(nanos)].add(1);
        self.nanos.add(nanos);
        self.saved.add(1);
        count_refusal(announced.outcome);
    }

    pub(crate) fn scraped(&self, outcome: Outcome) {
        self.scrapes[position(outcome)].0.add(1);
        self.saved.add(1);
        count_refusal(outcome);
    }

    /// What was neither an announce nor a scrape.
    pub(crate) fn refused(&self, outcome: Outcome) {
        count_refusal(outcome);
    }

    fn saved(&self) -> u64 {
        self.saved.get()
    }

    pub(crate) fn give(&self, timings: &Timings) {
        if self.saved.take() == 0 {
            return;
        }
        for (own, counter) in self.announces.iter().flatten().chain(&self.scrapes) {
            match own.take() {
                0 => {}
                count => counter.increment(count),
            }
        }
        let buckets = self.buckets.each_ref().map(Own::take);
        timings.of(self.protocol).add(buckets, self.nanos.take());
    }
}

/// A number that one thread alone writes: no read-modify-write is needed.
#[derive(Debug, Default)]
struct Own(AtomicU64);

impl Own {
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    fn take(&self) -> u64 {
        let number = self.get();
        if number != 0 {
            self.set(0);
        }
        number
    }
}

fn position(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Answered => 0,
        Outcome::Warned(_) => 1,
        Outcome::Refused(_) => 2,
    }
}

fn count_refusal(outcome: Outcome) {
    let reason = match outcome {
        Outcome::Answered => return,
        Outcome::Warned(warning) => warning.name(),
        Outcome::Refused(refusal) => refusal.name(),
    };
    metrics::counter!("purser_refusals_total", "reason" => reason).increment(1);
}
