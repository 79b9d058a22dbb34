//! How long announces take: a histogram for Prometheus.

use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The histogram's name.
const ANNOUNCE_SECONDS: &str = "purser_announce_seconds";

/// Upper bounds, from the cost of one announce on an idle machine to what a client would notice; above, `+Inf`.
const BOUNDS: [(u64, &str); BUCKETS - 1] = [
    (500, "0.0000005"),
    (1_000, "0.000001"),
    (2_000, "0.000002"),
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (20_000, "0.00002"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (1_000_000, "0.001"),
    (10_000_000, "0.01"),
    (100_000_000, "0.1"),
];

pub(crate) const BUCKETS: usize = 12;

/// Which of the buckets a time belongs to.
pub(crate) fn bucket(nanos: u64) -> usize {
    let fits = |(bound, _): &(u64, _)| nanos <= *bound;
    BOUNDS.iter().position(fits).unwrap_or(BUCKETS - 1)
}

/// How long announces took, by protocol. The exporter's own histograms keep every single value until somebody sorts
/// them, behind a fence that costs as much as a look-up of the swarm.
#[derive(Debug, Default)]
pub struct Timings {
    http: Timing,
    udp: Timing,
}

#[derive(Debug, Default)]
pub(crate) struct Timing {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Timings {
    pub(crate) fn of(&self, protocol: &str) -> &Timing {
        match protocol {
            "udp" => &self.udp,
            _ => &self.http,
        }
    }

    /// As a histogram in Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# HELP {ANNOUNCE_SECONDS} From a request read to its reply reckoned, without the kernel's part and the wait for the journal; over HTTP one in eight is timed, over UDP whole batches\n\
             # TYPE {ANNOUNCE_SECONDS} histogram\n"
        );
        for (protocol, timing) in [("http", &self.http), ("udp", &self.udp)] {
            // Writing into a String can't fail.
            let _ = timing.render(protocol, &mut text);
        }
        text
    }
}

impl Timing {
    pub(crate) fn add(&self, buckets: [u64; BUCKETS], nanos: u64) {
        for (bucket, count) in self.buckets.iter().zip(buckets) {
            if count > 0 {
                bucket.fetch_add(count, Relaxed);
            }
        }
        self.nanos.fetch_add(nanos, Relaxed);
    }

    fn render(&self, protocol: &str, text: &mut String) -> fmt::Result {
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count += bucket.load(Relaxed);
            writeln!(
                text,
                "{ANNOUNCE_SECONDS}_bucket{{protocol=\"{protocol}\",le=\"{bound}\"}} {count}"
            )?;
        }
        let seconds = Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64();
        writeln!(
            text,
            "{ANNOUNCE_SECONDS}_sum{{protocol=\"{protocol}\"}} {seconds}"
        )?;
        writeln!(
            text,
            "{ANNOUNCE_SECONDS}_count{{protocol=\"{protocol}\"}} {count}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_bounds_inclusive() {
        let timings = Timings::default();
        for nanos in [0, 500, 501, 100_000_000, 100_000_001] {
            let mut buckets = [0; BUCKETS];
            buckets[bucket(nanos)] = 1;
            timings.of("udp").add(buckets, nanos);
        }
        let text = timings.render();
        for line in [
            "purser_announce_seconds_bucket{protocol=\"udp\",le=\"0.0000005\"} 2",
            "purser_announce_seconds_bucket{protocol=\"udp\",le=\"0.000001\"} 3",
            "purser_announce_seconds_bucket{protocol=\"udp\",le=\"0.01\"} 3",
            "purser_announce_seconds_bucket{protocol=\"udp\",le=\"0.1\"} 4",
            "purser_announce_seconds_bucket{protocol=\"udp\",le=\"+Inf\"} 5",
            "purser_announce_seconds_count{protocol=\"udp\"} 5",
            "purser_announce_seconds_sum{protocol=\"udp\"} 0.200001002",
            "purser_announce_seconds_count{protocol=\"http\"} 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} isn't in\n{text}"
            );
        }
    }
}
