//! Metric handles, looked up once: an announce only adds to them.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use crate::record::Event;
use crate::tracker::{Announced, Outcome};

/// Every outcome that isn't a refusal, then `refused`: a refusal's own name is counted apart, as it is rare.
const OUTCOMES: [&str; 3] = ["answered", "warned", "refused"];

#[derive(Clone)]
pub(crate) struct Meters {
    announces: [[Counter; OUTCOMES.len()]; Event::ALL.len()],
    scrapes: [Counter; OUTCOMES.len()],
    announce_seconds: Histogram,
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter,
    pub(crate) timed_out: Counter,
}

impl Meters {
    pub(crate) fn http() -> Self {
        let announces = Event::ALL.map(|event| {
            OUTCOMES.map(|outcome| {
                metrics::counter!("purser_announces_total",
                    "protocol" => "http", "event" => event.name(), "outcome" => outcome)
            })
        });
        let scrapes = OUTCOMES.map(|outcome| {
            metrics::counter!("purser_scrapes_total", "protocol" => "http", "outcome" => outcome)
        });
        Self {
            announces,
            scrapes,
            announce_seconds: metrics::histogram!("purser_announce_seconds", "protocol" => "http"),
            connections: metrics::gauge!("purser_connections"),
            turned_away: metrics::counter!("purser_connections_turned_away_total"),
            timed_out: metrics::counter!("purser_connections_timed_out_total"),
        }
    }

    pub(crate) fn announced(&self, announced: &Announced, took: Duration) {
        self.announces[announced.event as usize][position(announced.outcome)].increment(1);
        self.announce_seconds.record(took);
        count_refusal(announced.outcome);
    }

    pub(crate) fn scraped(&self, outcome: Outcome) {
        self.scrapes[position(outcome)].increment(1);
        count_refusal(outcome);
    }

    /// What was neither an announce nor a scrape.
    pub(crate) fn refused(&self, outcome: Outcome) {
        count_refusal(outcome);
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
