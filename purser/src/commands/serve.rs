//! `purser serve`, `tracker` and `api`: the parts, started in order and stopped in the opposite one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_server::JobPlans;
use arc_swap::ArcSwap;
use persister::flush::{FlushError, Left, Persister};
use persister::follow::Follower;
use persister::journal::{self, JournalId, Log, Position, Writer};
use persister::lanes::Lanes;
use persister::recorder::Recorder;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::server::{Listener, Server};
use tracker_core::tracker::Tracker;

use super::{open_store, open_unmigrated, site_key};
use crate::cli::Options;
use crate::config::Config;
use crate::jobs::{self, Jobs, Rates};
use crate::mail::Mailer;
use crate::{limits, logs, secrets};

mod banner;
mod first_start;
mod http;
pub(super) mod live;
mod observe;
mod progress;
mod settings;
mod signals;

use http::serve_http;
use live::Live;
use observe::Observer;
use signals::{Signals, Wish};

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
    let economy = config.economy()?;
    let _logs = logs::start(&config.log)?;
    if !economy.windows.is_empty() {
        tracing::warn!(
            "credits.policy: its [[windows]] are for `purser simulate`; a running site's come from /api/admin/policies/"
        );
    }
    let open_files = limits::raise_open_files();
    // Announces have threads of their own: two are enough for the ledger, the API and the rest.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || {
            if mode.has_tracker() {
                limits::let_announces_go_first();
            }
        })
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(serve(&config, options, mode, open_files))
}

async fn serve(
    config: &Config,
    options: &Options,
    mode: Mode,
    open_files: Option<u64>,
) -> Result<()> {
    let mut signals = Signals::install()?;
    let mut running = tokio::select! {
        running = Running::start(config, options, mode, open_files) => running?,
        () = signals.stop() => return Ok(()),
    };
    let ended = running.run(&mut signals).await;
    if let Err(error) = &ended {
        tracing::error!("stopping: {error:#}");
    }
    tokio::spawn(signals.leave_at_the_next());
    running.stop().await?;
    ended
}

/// All parts of this process.
struct Running {
    observer: Observer,
    store: Store,
    tracking: Option<Tracking>,
    /// Listeners and the follower: none of them ends before it is told to.
    parts: JoinSet<(&'static str, Result<()>)>,
    stop: watch::Sender<bool>,
    /// The operator has changed the config.
    hangup: watch::Sender<()>,
    _lock: Option<secrets::DataLock>,
}

impl Running {
    async fn start(
        config: &Config,
        options: &Options,
        mode: Mode,
        open_files: Option<u64>,
    ) -> Result<Self> {
        let lock = match mode.has_tracker() {
            true => Some(secrets::lock_data_dir(config)?),
            false => None,
        };
        // Every port before the first change: what can't be had is said at once, and nothing is half done.
        let doors = Doors::open(config, mode, open_files).await?;
        let addresses = doors.addresses(config);
        let (stop, stopped) = watch::channel(false);
        let mut parts = JoinSet::new();
        let observer = Observer::install()?;
        let metrics = observer.router();
        let metrics = serve_http(doors.metrics, metrics, Vec::new(), stopped.clone());
        parts.spawn(async { ("the metrics listener", metrics.await) });

        let store = open(config.clone()).await?;
        let overrides = live::overrides(&store).await?;
        let config = &live::config_with(options, &overrides)?;
        let token_key = site_key(config, &store).await?;
        // Not by a tracker of its own: it would race with the API that is started beside it.
        let newcomer = match mode.has_api() {
            true => first_start::create_admin(&store, &token_key).await?,
            false => None,
        };
        let tracking = match doors.announce {
            Some(listener) => Some(
                Tracking::start(
                    config,
                    &store,
                    token_key.clone(),
                    listener,
                    &mut parts,
                    &stopped,
                )
                .await?,
            ),
            None => None,
        };
        if let Some(tracking) = &tracking {
            observer.watch(Arc::clone(&tracking.tracker));
        }
        let mut api = None;
        let mut rates = None;
        if let Some(listener) = doors.api {
            let announce = addresses.announce.clone();
            let announce = announce.unwrap_or_else(|| config.public_url());
            let mut site = settings::site(config, store.for_requests(), token_key, announce)?;
            site.configuration = live::configuration(options);
            api = Some(Arc::clone(&site.live));
            site.jobs = JobPlans(Arc::new(jobs::plans));
            let economy = Arc::clone(&site.economy);
            let options = api_server::Options {
                allowed_hosts: config.api.allowed_hosts.clone(),
            };
            let router = api_server::router(site, options);
            let proxies = config.tracker.trusted_proxies.clone();
            let serving = serve_http(listener, router, proxies, stopped.clone());
            parts.spawn(async { ("the API", serving.await) });
            let jobs = Jobs {
                // Not the ledger's connections: a job may take its time.
                store: store.for_requests(),
                policy: economy,
                rates: Arc::new(ArcSwap::from_pointee(Rates::of(config))),
                mailer: Mailer::of(config)?.map(Arc::new),
            };
            rates = Some(Arc::clone(&jobs.rates));
            let running = jobs::keep_running(jobs, stopped.clone());
            parts.spawn(async { ("the jobs", running.await) });
        }
        let live = Live {
            options: options.clone(),
            store: store.clone(),
            tracker: tracking.as_ref().map(|it| Arc::clone(&it.tracker)),
            api,
            rates,
            overrides,
        };
        let (hangup, hangups) = watch::channel(());
        let following = live.follow(hangups, stopped.clone());
        parts.spawn(async { ("the settings", following.await) });
        observer.set_ready(true);
        addresses.log(config);
        banner::print(&addresses, newcomer.as_ref(), options.json)?;
        Ok(Self {
            observer,
            store,
            tracking,
            parts,
            stop,
            hangup,
            _lock: lock,
        })
    }

    /// Until a signal says that it is enough, or a part ends that shouldn't.
    async fn run(&mut self, signals: &mut Signals) -> Result<()> {
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => return Ok(()),
                    Wish::Reload => {
                        self.hangup.send_replace(());
                    }
                },
                Some(ended) = self.parts.join_next() => {
                    let (name, ended) = ended.context("a part panicked")?;
                    ended.context(name)?;
                    bail!("{name} ended");
                }
                () = ledger_ended(self.tracking.as_ref()) => bail!("the ledger ended"),
            }
        }
    }

    /// Announces end before the ledger's last batch, so that it has everything, and the metrics after it.
    async fn stop(mut self) -> Result<()> {
        tracing::info!("stopping");
        self.observer.set_ready(false);
        let saved = match self.tracking {
            Some(tracking) => tracking.stop().await,
            None => Ok(Left { records: 0 }),
        };
        self.stop.send_replace(true);
        // A client that has sent half a request doesn't keep us.
        let parts = async { while self.parts.join_next().await.is_some() {} };
        let _ = timeout(STOP_LIMIT, parts).await;
        let _ = timeout(STOP_LIMIT, self.store.close()).await;
        match saved? {
            Left { records: 0 } => tracing::info!("stopped, everything is saved"),
            Left { records } => tracing::warn!(
                records,
                "stopped, everything is saved: the database will have the rest of the journal after the next start"
            ),
        }
        Ok(())
    }
}

/// As a task: SQLite's thread then has the ledger's priority, as threads inherit it from whoever starts them.
async fn open(config: Config) -> Result<Store> {
    let open = async move {
        let store = match config.migrate_on_start {
            true => open_store(&config).await?,
            false => open_unmigrated(&config).await?,
        };
        store.check().await?;
        Ok(store)
    };
    tokio::spawn(open)
        .await
        .context("opening the database panicked")?
}

/// A listener and the database get this long to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Looks now and then: the ledger ends by itself only if it can't go on.
async fn ledger_ended(tracking: Option<&Tracking>) {
    let is_running = || tracking.is_none_or(Tracking::is_running);
    while is_running() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The listening sockets.
struct Doors {
    announce: Option<Listener>,
    api: Option<TcpListener>,
    metrics: TcpListener,
}

impl Doors {
    async fn open(config: &Config, mode: Mode, open_files: Option<u64>) -> Result<Self> {
        let announce = match mode.has_tracker() {
            true => Some(Listener::bind(&settings::listen_options(
                config, open_files,
            ))?),
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
        let announcing = self.announce.as_ref().map(|listener| {
            let mut config = config.clone();
            config.tracker.http = listener.http().to_vec();
            config.tracker.udp = listener.udp().to_vec();
            config
        });
        let bound = |listener: &TcpListener| listener.local_addr().ok();
        banner::Addresses {
            announce: announcing.as_ref().map(Config::public_url),
            udp: announcing.as_ref().and_then(Config::udp_url),
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

/// Announces, and the ledger behind them.
struct Tracking {
    tracker: Arc<Tracker>,
    server: Server,
    recorder: Recorder,
    ledger: JoinHandle<Result<Left, FlushError>>,
    stop_ledger: watch::Sender<bool>,
    /// Made when the journal's name turns out to be another process's too: a restart would take its mark for ours.
    foreign: PathBuf,
}

impl Tracking {
    async fn start(
        config: &Config,
        store: &Store,
        token_key: TokenKey,
        listener: Listener,
        parts: &mut JoinSet<(&'static str, Result<()>)>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Self> {
        let settings = settings::announce_settings(config)?;
        let tracker = Arc::new(Tracker::new(token_key, settings));
        let id = secrets::journal_id(config)?;
        let foreign = config.data_dir.join("journal.foreign");
        if foreign.exists() {
            bail!(
                "{}: another process uses this data_dir's journal.id, and what is in the journal here isn't in the database. \
                 Give each a data_dir of its own, and then delete this file",
                foreign.display()
            );
        }
        let lanes = Lanes::settled(store, &id.to_string()).await?;
        let applied = lanes.applied();
        let (writer, log) = open_journal(config, id, applied)?;
        let mut bars = progress::Bars::default();
        let mut show = |progress| bars.show(progress);
        let now = UnixTime::now();
        let loaded = persister::load::load(store, &tracker, now, &mut show)
            .await
            .context("can't load the site")?;
        persister::load::replay(&log, applied, &tracker, now, &mut show)
            .context("can't replay the journal")?;
        bars.finish();
        let follower = Follower::new(store.clone(), Arc::clone(&tracker), loaded.change);
        let following = follower.run(stopped.clone());
        parts.spawn(async {
            let ended = following.await;
            ("the follower of changes", ended.map_err(Into::into))
        });
        let fsync_interval = Duration::from_millis(config.persister.fsync_interval_ms.into());
        let recorder = Recorder::start(Arc::clone(&tracker), writer, log.clone(), fsync_interval)
            .context("can't start the journal's threads")?;
        let persister = Persister::new(
            store.clone(),
            Arc::clone(&tracker),
            log,
            lanes,
            loaded.baselines,
        );
        let (stop_ledger, ledger_stopped) = watch::channel(false);
        let interval = Duration::from_millis(config.persister.flush_interval_ms.into());
        let ledger = tokio::spawn(persister.run(interval, ledger_stopped));
        let server = listener.serve(&tracker)?;
        Ok(Self {
            tracker,
            server,
            recorder,
            ledger,
            stop_ledger,
            foreign,
        })
    }

    fn is_running(&self) -> bool {
        !self.ledger.is_finished() && !self.recorder.is_finished()
    }

    /// Announces end first, their records are written, and then the database gets what it can still get.
    async fn stop(self) -> Result<Left> {
        let (server, recorder) = (self.server, self.recorder);
        let written = tokio::task::spawn_blocking(move || {
            server.stop();
            recorder.stop()
        })
        .await
        .context("an announce worker panicked")?;
        if let Err(error) = &written {
            tracing::error!("{error}");
        }
        self.stop_ledger.send_replace(true);
        let left = self.ledger.await.context("the persister panicked")?;
        if let Err(FlushError::Foreign) = &left {
            let made = std::fs::write(&self.foreign, "see the tracker's log\n");
            made.with_context(|| format!("can't write {}", self.foreign.display()))?;
        }
        written?;
        Ok(left?)
    }
}

/// What isn't as it should be in the journal is said, and what is whole is used.
fn open_journal(config: &Config, id: JournalId, applied: Position) -> Result<(Writer, Log)> {
    let options = journal::Options {
        dir: config.data_dir.join("journal"),
        id,
        segment_bytes: journal::Options::SEGMENT_BYTES,
        limit_bytes: u64::from(config.persister.journal_limit_mb) << 20,
    };
    let (writer, log, recovery) =
        journal::open(options, applied).context("can't open the journal")?;
    for finding in &recovery.findings {
        match finding.is_serious() {
            true => tracing::error!("the journal: {finding}"),
            false => tracing::info!("the journal: {finding}"),
        }
    }
    if recovery.records > 0 {
        tracing::info!(
            records = recovery.records,
            first = recovery.first.0,
            last = recovery.last.0,
            "the journal has announces that the database hasn't, as after a crash or with an older backup of it: they \
             are brought in now"
        );
    }
    Ok((writer, log))
}
