//! What is shown once everything runs: where to go, and on the first start who one is.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;

use super::first_start::Newcomer;
use crate::commands::print as print_text;
use crate::commands::print_json;
use crate::config::Config;

/// Where this process can be reached.
pub(super) struct Addresses {
    /// What announce URLs begin with.
    pub(super) announce: Option<String>,
    /// The same for UDP.
    pub(super) udp: Option<String>,
    pub(super) api: Option<SocketAddr>,
    pub(super) metrics: Option<SocketAddr>,
}

impl Addresses {
    /// For those who don't see the banner: systemd's journal, a container's log.
    pub(super) fn log(&self, config: &Config) {
        let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            announce = self.announce,
            udp = self.udp,
            api = shown(self.api),
            metrics = shown(self.metrics),
            database = config.database_url.redacted(),
            data_dir = %config.data_dir.display(),
            "running"
        );
    }
}

pub(super) fn print(addresses: &Addresses, newcomer: Option<&Newcomer>, json: bool) -> Result<()> {
    let api = |path: &str| {
        addresses
            .api
            .map(|address| format!("http://{address}{path}"))
    };
    let announce = |key: &str| {
        let base = addresses.announce.as_deref();
        base.map(|base| format!("{base}/announce/{key}"))
    };
    let udp = addresses
        .udp
        .as_ref()
        .map(|base| format!("{base}/announce/{{key}}"));
    let metrics = addresses
        .metrics
        .map(|address| format!("http://{address}/metrics"));
    if json {
        let first_start = newcomer.map(|newcomer| {
            json!({
                "username": newcomer.username,
                "password": newcomer.password,
                "announce_url": announce(&newcomer.token),
            })
        });
        return print_json(&json!({
            "announce": announce("{key}"),
            "udp": udp,
            "api": api("/api/"),
            "docs": api("/swagger/"),
            "dashboard": api("/admin/"),
            "metrics": metrics,
            "first_start": first_start,
        }));
    }

    let mut text = format!("Purser {} is running.\n\n", env!("CARGO_PKG_VERSION"));
    let lines = [
        ("announce", announce("{key}")),
        ("", udp),
        ("API", api("/api/")),
        ("docs", api("/swagger/")),
        ("dashboard", api("/admin/")),
        ("metrics", metrics),
    ];
    for (name, address) in lines {
        if let Some(address) = address {
            writeln!(text, "  {name:<10} {address}")?;
        }
    }
    if let Some(newcomer) = newcomer {
        writeln!(
            text,
            "\nThis is the first start. Your administrator, shown this once:\n"
        )?;
        writeln!(text, "  {:<10} {}", "username", newcomer.username)?;
        writeln!(text, "  {:<10} {}", "password", newcomer.password)?;
        if let Some(url) = announce(&newcomer.token) {
            writeln!(text, "  {:<10} {url}", "announce")?;
        }
        writeln!(
            text,
            "\nNext, in another terminal: `purser create-user --username NAME`"
        )?;
        writeln!(
            text,
            "prints a member's announce URL, `purser add-torrent FILE` registers a torrent."
        )?;
    }
    print_text(&text)
}
