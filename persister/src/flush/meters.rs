//! What Prometheus is told of the flushes.

use metrics::{Counter, Gauge, Histogram};

#[derive(Debug)]
pub(super) struct Meters {
    pub(super) records: Counter,
    pub(super) flush_seconds: Histogram,
    pub(super) lag_seconds: Gauge,
    pub(super) uploaded: Counter,
    pub(super) downloaded: Counter,
    pub(super) set_aside: Counter,
    pub(super) stale: Counter,
    pub(super) failures: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            records: metrics::counter!("purser_persisted_records_total"),
            flush_seconds: metrics::histogram!("purser_flush_seconds"),
            lag_seconds: metrics::gauge!("purser_persist_lag_seconds"),
            uploaded: metrics::counter!("purser_credit_bytes_total", "direction" => "uploaded"),
            downloaded: metrics::counter!("purser_credit_bytes_total", "direction" => "downloaded"),
            set_aside: metrics::counter!("purser_set_aside_sessions_total"),
            stale: metrics::counter!("purser_stale_hints_total"),
            failures: metrics::counter!("purser_flush_failures_total"),
        }
    }
}
