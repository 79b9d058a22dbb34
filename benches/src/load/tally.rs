//! What came of the requests: counts, latencies, and every failure by its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::clients::Ask;
use super::reply::Reply;

/// More than this in a run, and it is given up: nothing that it measures would mean anything.
pub const FAILURES_MAX: u64 = 1_000;

/// A minute, in nanoseconds: nobody waits longer.
const LONGEST: u64 = 60_000_000_000;

/// Of a measured window.
#[derive(Debug)]
pub struct Tally {
    /// From when a request should have been sent, to the end of its reply.
    latency: Histogram<u64>,
    /// From when it was sent.
    service: Histogram<u64>,
    /// By [`Ask`].
    counts: [u64; 5],
    peers: u64,
    body_bytes: u64,
    whole_bytes: u64,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Result<Self> {
        // Three digits, from a microsecond on.
        let histogram = Histogram::new_with_bounds(1_000, LONGEST, 3)?;
        Ok(Self {
            latency: histogram.clone(),
            service: histogram,
            counts: [0; 5],
            peers: 0,
            body_bytes: 0,
            whole_bytes: 0,
        })
    }

    /// A good reply.
    pub fn add(&mut self, ask: Ask, reply: Reply, latency: Duration, service: Duration) {
        self.latency.saturating_record(latency.as_nanos() as u64);
        self.service.saturating_record(service.as_nanos() as u64);
        self.counts[ask as usize] += 1;
        self.peers += reply.peers as u64;
        self.body_bytes += reply.body as u64;
        self.whole_bytes += reply.whole as u64;
    }

    /// Good replies.
    pub fn replies(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A quantile of the latency, in µs.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let by_ask = Ask::ALL.map(|ask| (ask.name().to_owned(), json!(self.counts[ask as usize])));
        let announces = self.replies() - self.counts[Ask::Scrape as usize];
        let mean = |sum: u64, of: u64| round(sum as f64 / of.max(1) as f64);
        json!({
            "replies": self.replies(),
            "by_ask": serde_json::Map::from_iter(by_ask),
            "peers_per_announce": mean(self.peers, announces),
            "body_bytes_per_reply": mean(self.body_bytes, self.replies()),
            "whole_bytes_per_reply": mean(self.whole_bytes, self.replies()),
            "latency_us": quantiles(&self.latency),
            "service_us": quantiles(&self.service),
        })
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| round(histogram.value_at_quantile(quantile) as f64 / 1_000.0);
    json!({
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p99.9": at(0.999),
        "max": round(histogram.max() as f64 / 1_000.0),
        "mean": round(histogram.mean() / 1_000.0),
    })
}

/// To thousandths: more would be noise.
pub fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Of the whole run, from the first connection on.
#[derive(Clone, Debug, Default)]
pub struct Failures(BTreeMap<String, u64>);

impl Failures {
    /// One more.
    pub fn add(&mut self, reason: impl ToString) {
        // Reasons have a server's words in them: no room for a thousand different ones.
        let mut reason = reason.to_string();
        if !self.0.contains_key(&reason) && self.0.len() >= 50 {
            reason = "others".to_owned();
        }
        *self.0.entry(reason).or_default() += 1;
    }

    /// How many.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// By reason.
    pub fn by_reason(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}
