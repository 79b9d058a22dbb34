//! `purser serve`, `tracker` and `api`: the parts, started in order and stopped in the opposite one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use persister::flush::{Persister, Unsaved};
use persister::follow::Follower;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::server::{HttpListener, HttpServer};
use tracker_core::tracker::Tracker;

use super::{open_store, open_unmigrated};
use crate::cli::Options;
use crate::config::Config;
use crate::{limits, logs, secrets};

mod banner;
mod first_start;
mod observe;
mod progress;
mod settings;
mod signals;

use observe::Observer;

/// Which parts run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All of them.
    All,
    /// Announce listeners and persister.
    Tracker,
    /// REST API, dashboard and jobs.
    Api,
}

impl Mode {
    fn has_tracker(self) -> bool {
        self != Self::Api
    }

    fn has_api(self) -> bool {
        self != Self::Tracker
    }
}

pub(crate) fn run(options: &Options, mode: Mode) -> Result<()> {
    let config = options.load()?;
    let _logs = logs::start(&config.log)?;
    limits::raise_open_files();
    // Announces have threads of their own: two are enough for the ledger, the API and the rest.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(serve(&config, options, mode))
}

async fn serve(config: &Config, options: &Options, mode: Mode) -> Result<()> {
    let _lock = match mode.has_tracker() {
        true => Some(secrets::lock_data_dir(config)?),
        false => None,
    };
    let token_key = TokenKey::from_bytes(secrets::token_key(config)?);
    // Every port before the first change: what can't be had is said at once, and nothing is half done.
    let doors = Doors::open(config, mode).await?;
    let addresses = doors.addresses(config);
    let (stop, stopped) = watch::channel(false);
    let observer = Observer::install()?;
    let observing = observer.serve(doors.metrics, stopped.clone());

    let store = match config.migrate_on_start {
        true => open_store(config).await?,
        false => open_unmigrated(config).await?,
    };
    store.check().await?;
    let newcomer = first_start::create_admin(&store, &token_key).await?;
    let tracking = match doors.announce {
        Some(listener) => {
            let tracking = Tracking::start(config, store.clone(), token_key, listener, &stopped);
            let tracking = tracking.await?;
            observer.watch(Arc::clone(&tracking.tracker));
            Some(tracking)
        }
        None => None,
    };
    let api = doors.api.map(|listener| {
        let api = api_server::Api {
            store: store.clone(),
            allowed_hosts: config.api.allowed_hosts.clone(),
        };
        tokio::spawn(serve_http(
            listener,
            api_server::router(api),
            stopped.clone(),
        ))
    });

    observer.set_ready(true);
    banner::print(&addresses, newcomer.as_ref(), options.json)?;
    signals::wait(|| reload(options, tracking.as_ref())).await?;

    tracing::info!("stopping");
    observer.set_ready(false);
    // Announces end before the ledger's last batch, so that it has everything.
    let ledger = match tracking {
        Some(tracking) => Some(tracking.stop_announces().await?),
        None => None,
    };
    stop.send_replace(true);
    let saved = match ledger {
        Some(ledger) => ledger.await.context("the persister panicked")?,
        None => Ok(()),
    };
    for part in api.into_iter().chain([observing]) {
        part.await.context("a listener panicked")??;
    }
    store.close().await;
    saved?;
    tracing::info!("stopped, everything is saved");
    Ok(())
}

/// The listening sockets.
struct Doors {
    announce: Option<HttpListener>,
    api: Option<TcpListener>,
    metrics: TcpListener,
}

impl Doors {
    async fn open(config: &Config, mode: Mode) -> Result<Self> {
        let announce = match mode.has_tracker() {
            true => Some(HttpListener::bind(&settings::http_options(config))?),
            false => None,
        };
        let api = match mode.has_api() {
            true => Some(listen("api.listen", config.api.listen).await?),
            false => None,
        };
        let metrics = match mode {
            Mode::Api => listen("metrics.listen_api", config.metrics.listen_api).await?,
            _ => listen("metrics.listen", config.metrics.listen).await?,
        };
        Ok(Self {
            announce,
            api,
            metrics,
        })
    }

    /// With the ports that the kernel chose where the config says 0.
    fn addresses(&self, config: &Config) -> banner::Addresses {
        let announce = self.announce.as_ref().map(|listener| {
            let mut config = config.clone();
            config.tracker.http = listener.addresses().to_vec();
            config.public_url()
        });
        let bound = |listener: &TcpListener| listener.local_addr().ok();
        banner::Addresses {
            announce,
            api: self.api.as_ref().and_then(bound),
            metrics: bound(&self.metrics),
        }
    }
}

async fn listen(key: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("{key}: {address} is taken by another program")
            }
            _ => anyhow::Error::new(error).context(format!("{key}: can't listen on {address}")),
        })
}

async fn serve_http(
    listener: TcpListener,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let stop = async move {
        let _ = stopped.wait_for(|&stop| stop).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

/// Announces, the ledger behind them, and the changes that come from the site.
struct Tracking {
    tracker: Arc<Tracker>,
    server: HttpServer,
    ledger: JoinHandle<Result<(), Unsaved>>,
}

impl Tracking {
    async fn start(
        config: &Config,
        store: Store,
        token_key: TokenKey,
        listener: HttpListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Self> {
        let tracker = Arc::new(Tracker::new(
            token_key,
            settings::announce_settings(config)?,
        ));
        let mut bars = progress::Bars::default();
        let now = UnixTime::now();
        let mark =
            persister::load::load(&store, &tracker, now, &mut |progress| bars.show(progress))
                .await
                .context("can't load the site")?;
        bars.finish();
        let journal = secrets::journal_name(config)?;
        let persister = Persister::new(store.clone(), Arc::clone(&tracker), journal).await?;
        let follower = Follower::new(store, Arc::clone(&tracker), mark);
        tokio::spawn(follower.run(Arc::new(Notify::new()), stopped.clone()));
        let interval = Duration::from_millis(config.persister.flush_interval_ms.into());
        let ledger = tokio::spawn(persister.run(interval, stopped.clone()));
        let server = listener.serve(&tracker)?;
        Ok(Self {
            tracker,
            server,
            ledger,
        })
    }

    /// Returns the ledger, which goes on until it is told to stop.
    async fn stop_announces(self) -> Result<JoinHandle<Result<(), Unsaved>>> {
        let server = self.server;
        tokio::task::spawn_blocking(move || server.stop())
            .await
            .context("an announce worker panicked")?;
        Ok(self.ledger)
    }
}

/// SIGHUP: what can change while announces go on, changes. A wrong config changes nothing.
fn reload(options: &Options, tracking: Option<&Tracking>) {
    let loaded = options.load();
    let settings = loaded.and_then(|config| settings::announce_settings(&config));
    match (settings, tracking) {
        (Ok(settings), Some(tracking)) => {
            tracking.tracker.settings.store(Arc::new(settings));
            tracing::info!("reloaded the announce settings; other keys need a restart");
        }
        (Ok(_), None) => tracing::info!("nothing here can be reloaded"),
        (Err(error), _) => tracing::error!("the config stays as it was: {error:#}"),
    }
}
