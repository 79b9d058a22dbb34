//! The metrics listener: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts and routes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracker_core::record::Role;
use tracker_core::tracker::Tracker;

/// From a batch of one to a database in trouble.
const FLUSH_BUCKETS: [f64; 9] = [1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Histograms keep what they were given until somebody sorts it into buckets.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Observer {
    metrics: PrometheusHandle,
    is_ready: Arc<AtomicBool>,
    tracker: Arc<OnceLock<Arc<Tracker>>>,
}

impl Observer {
    /// Before any part asks for a metric.
    pub(super) fn install() -> Result<Self> {
        let flush = Matcher::Full("purser_flush_seconds".to_owned());
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(flush, &FLUSH_BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics can be installed once")?;
        describe();
        Ok(Self {
            metrics,
            is_ready: Arc::default(),
            tracker: Arc::default(),
        })
    }

    /// Not ready while it loads and while it stops. A database that is away doesn't count: announces go on without.
    pub(super) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Relaxed);
    }

    /// Whose peers and torrents are counted.
    pub(super) fn watch(&self, tracker: Arc<Tracker>) {
        self.tracker.get_or_init(|| tracker);
    }

    pub(super) fn router(&self) -> Router {
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_PERIOD).await;
                metrics.run_upkeep();
            }
        });
        Router::new()
            .route("/metrics", get(render))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

async fn render(State(observer): State<Observer>) -> impl IntoResponse {
    let mut timings = String::new();
    if let Some(tracker) = observer.tracker.get() {
        timings = tracker.timings.render();
        let roles = [
            (Role::Leecher, "leecher"),
            (Role::Seeder, "seeder"),
            (Role::Partial, "partial"),
        ];
        for (role, name) in roles {
            metrics::gauge!("purser_peers", "role" => name).set(tracker.swarms.peers(role) as f64);
        }
        metrics::gauge!("purser_torrents").set(tracker.swarms.torrents() as f64);
        metrics::gauge!("purser_members").set(tracker.roster.len() as f64);
    }
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let metrics = observer.metrics.render() + &timings;
    ([(header::CONTENT_TYPE, text)], metrics)
}

async fn ready(State(observer): State<Observer>) -> (StatusCode, &'static str) {
    match observer.is_ready.load(Relaxed) {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "loading or stopping\n"),
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "purser_announces_total",
        "Announces, by protocol, event and outcome"
    );
    describe_counter!("purser_scrapes_total", "Scrapes, by protocol and outcome");
    describe_counter!("purser_refusals_total", "Refusals and warnings, by reason");
    describe_gauge!("purser_peers", "Peers in all swarms, by role");
    describe_gauge!("purser_torrents", "Registered torrents");
    describe_gauge!(
        "purser_members",
        "Members that may announce, and those that no longer may"
    );
    describe_gauge!("purser_connections", "Open announce connections");
    describe_counter!(
        "purser_connections_turned_away_total",
        "Connections closed at once: tracker.max_connections"
    );
    describe_counter!(
        "purser_connections_timed_out_total",
        "Connections closed because they stood still"
    );
    describe_counter!(
        "purser_udp_connects_total",
        "Connection ids given out over UDP"
    );
    describe_counter!(
        "purser_udp_dropped_total",
        "UDP packets without a useful answer, by reason; stale_connection_id got an error"
    );
    describe_counter!(
        "purser_persisted_records_total",
        "Announces brought into the database since this process began, an earlier one's too"
    );
    describe_histogram!("purser_flush_seconds", "Time to apply a batch");
    describe_counter!(
        "purser_flush_failures_total",
        "Batches that had to be tried again"
    );
    describe_gauge!(
        "purser_persist_lag_seconds",
        "Age of the oldest announce that isn't in the database"
    );
    describe_counter!(
        "purser_credit_bytes_total",
        "Bytes counted for members, by direction"
    );
    describe_counter!(
        "purser_set_aside_sessions_total",
        "Session changes that the database refused: see the table set_aside"
    );
    describe_counter!(
        "purser_stale_hints_total",
        "Batches for which everything had to be looked up: the database wasn't what memory believed, or refused something"
    );
    describe_gauge!(
        "purser_journal_bytes",
        "Bytes that the journal takes on disk"
    );
    describe_gauge!(
        "purser_journal_pressure",
        "What the journal can take: 0 everything, 1 what says something new, 2 last words, 3 nothing"
    );
    describe_counter!(
        "purser_journal_records_total",
        "Announces written to the journal since this process began"
    );
    describe_counter!(
        "purser_journal_failures_total",
        "Writes and syncs of the journal that the disk refused"
    );
}
