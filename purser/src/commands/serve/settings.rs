//! From the operator's config to what the tracker takes.

use anyhow::{Context, Result};
use tracker_core::server::{HttpOptions, Patience};
use tracker_core::settings::Settings;

use crate::config::{Config, TorrentPolicy};

pub(super) fn announce_settings(config: &Config) -> Result<Settings> {
    let tracker = &config.tracker;
    let client_ip_header = match tracker.client_ip_header.as_str() {
        "" => None,
        name => Some(name.parse().context("tracker.client_ip_header")?),
    };
    Ok(Settings {
        announce_interval_secs: tracker.announce_interval_secs,
        min_interval_secs: tracker.min_interval_secs,
        numwant_default: tracker.numwant_default.into(),
        numwant_max: tracker.numwant_max.into(),
        max_peers_per_torrent_per_user: tracker.max_peers_per_torrent_per_user.into(),
        track_unregistered: tracker.torrents == TorrentPolicy::Any,
        client_ip_header,
        trusted_proxies: tracker.trusted_proxies.clone(),
        allow_ip_param: tracker.allow_ip_param,
    })
}

pub(super) fn http_options(config: &Config) -> HttpOptions {
    let tracker = &config.tracker;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    HttpOptions {
        listen: tracker.http.clone(),
        workers: match tracker.workers {
            0 => cores,
            workers => workers.into(),
        },
        max_connections: tracker.max_connections as usize,
        patience: Patience::default(),
    }
}
