//! What is counted.

use anyhow::{Context, Result, ensure};
use metrics_exporter_prometheus::PrometheusBuilder;
use tracker_core::record::Event;
use tracker_core::tracker::Outcome;

use super::{http, udp};
use crate::Size;
use crate::site::Site;
use crate::traffic::Traffic;
use crate::workload::{self, NUMWANT};

type Workload = fn(u64) -> Result<()>;

/// In the order in which they are shown. The `http` and `udp` ones are through a socket, everything but the kernel included.
pub(super) const WORKLOADS: [(&str, Workload); 6] = [
    ("announce/passkeys", |n| {
        announce(workload::mix(Size::Large), n)
    }),
    ("announce/tokens", |n| announce(tokens(), n)),
    ("announce/churn", |n| {
        announce(workload::churn(Size::Small), n)
    }),
    ("http/hyper", http::hyper),
    ("http/purser", http::purser),
    ("udp/purser", udp::purser),
];

pub(super) fn run(name: &str, announces: u64) -> Result<()> {
    let found = WORKLOADS.iter().find(|(candidate, _)| *candidate == name);
    // Counters that nobody reads would cost nothing.
    PrometheusBuilder::new().install_recorder()?;
    let (_, workload) = found.with_context(|| format!("no workload {name}"))?;
    workload(announces)
}

/// The main run's site: 20,000 peers of 1,000 torrents.
pub(super) fn site() -> Site {
    Site::zipf(1_000, 20_000)
}

fn tokens() -> Traffic {
    let site = site();
    let asks = site.sessions.iter();
    let asks = asks
        .map(|session| site.ask_with_token(session, Event::None, NUMWANT))
        .collect();
    Traffic::new(site, asks)
}

/// Few enough that no lane of the outbox fills up.
fn announce(mut traffic: Traffic, announces: u64) -> Result<()> {
    for _ in 0..announces {
        let reply = traffic.announce();
        ensure!(reply.outcome == Outcome::Answered, "{:?}", reply.outcome);
    }
    Ok(())
}
