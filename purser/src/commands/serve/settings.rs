//! From the operator's config to what the tracker takes.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use api_server::{Live, Redis, Site};
use arc_swap::ArcSwap;
use store::Store;
use tracker_core::key::TokenKey;
use tracker_core::registry::UserClass;
use tracker_core::server::Options;
use tracker_core::settings::Settings;

use crate::config::{Config, TorrentPolicy};

pub(super) fn announce_settings(config: &Config) -> Result<Settings> {
    let tracker = &config.tracker;
    let client_ip_header = match tracker.client_ip_header.as_str() {
        "" => None,
        name => Some(name.parse().context("tracker.client_ip_header")?),
    };
    let economy = config.economy()?;
    Ok(Settings {
        announce_interval_secs: tracker.announce_interval_secs,
        min_interval_secs: tracker.min_interval_secs,
        numwant_default: tracker.numwant_default.into(),
        numwant_max: tracker.numwant_max.into(),
        max_peers_per_torrent_per_user: tracker.max_peers_per_torrent_per_user.into(),
        download_slots: UserClass::ALL.map(|class| economy.class(class).privileges.download_slots),
        track_unregistered: tracker.torrents == TorrentPolicy::Any,
        udp_keyless: tracker.udp_keyless,
        client_ip_header,
        trusted_proxies: tracker.trusted_proxies.clone(),
        allow_ip_param: tracker.allow_ip_param,
    })
}

/// What the API is told of the config.
pub(super) fn site(
    config: &Config,
    store: Store,
    token_key: TokenKey,
    announce: String,
) -> Result<Site> {
    let mut site = Site::new(store, token_key, announce);
    site.api_url = config.api.public_url.trim_end_matches('/').to_owned();
    site.proxies = announce_settings(config)?;
    site.economy = Arc::new(config.economy()?);
    site.live = Arc::new(ArcSwap::from_pointee(live(config)));
    match config.redis_url.expose() {
        "" => Ok(site),
        url => {
            let redis = Redis::new(url).map_err(|error| anyhow!("redis_url: {error}"))?;
            Ok(site.with_redis(redis))
        }
    }
}

/// What the API takes while it runs.
pub(super) fn live(config: &Config) -> Live {
    Live {
        requests_per_minute: Some(config.api.requests_per_minute).filter(|&most| most > 0),
        min_ratio_warning: config.credits.min_ratio_warning,
    }
}

/// Files and sockets that aren't announce connections: the database's, the API's, the logs'.
const OTHER_FILES: u64 = 2500;

/// `open_files`: as many as the system lets this process open, if there is a limit.
pub(super) fn listen_options(config: &Config, open_files: Option<u64>) -> Options {
    let tracker = &config.tracker;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    Options {
        http: tracker.http.clone(),
        udp: tracker.udp.clone(),
        workers: match tracker.workers {
            0 => cores,
            workers => workers.into(),
        },
        max_connections: max_connections(tracker.max_connections.into(), open_files),
        ..Options::default()
    }
}

/// Announces must not take the last file descriptor from the database: beyond this many connections they are closed.
fn max_connections(wanted: u64, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else {
        return usize::try_from(wanted).unwrap_or(usize::MAX);
    };
    let possible = open_files
        .saturating_sub(OTHER_FILES)
        .max(open_files / 2)
        .max(1);
    if wanted == 0 || wanted > possible {
        // `purser doctor` warns of it; at every start it would be noise.
        tracing::debug!(
            open_files,
            possible,
            "fewer connections than tracker.max_connections"
        );
        return usize::try_from(possible).unwrap_or(usize::MAX);
    }
    usize::try_from(wanted).unwrap_or(usize::MAX)
}
