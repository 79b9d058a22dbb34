//! One core's share: accepts connections, serves them, closes those that stand still.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics::Gauge;
use slab::Slab;
use tokio::net::TcpStream;
use tokio::runtime::LocalRuntime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::connection::{Activity, Patience, Sweeps, Watched};
use super::meters::Meters;
use super::rest::{AtRest, AtRests};
use super::service::Service;
use super::udp::{Shared, UdpWorker};
use crate::tracker::Tracker;

/// A scrape of 200 torrents fits; whatever is longer gets a 4xx.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// After this an open reply isn't waited for any longer.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How often a draining worker looks whether it is quiet.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// A machine in trouble isn't helped by a log that fills its disk.
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// When the process has no file descriptor left, until connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one worker bears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) patience: Patience,
}

/// The sockets of one worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) http: Vec<std::net::TcpListener>,
    pub(crate) udp: Vec<std::net::UdpSocket>,
}

/// What a worker is given at its start.
pub(crate) struct Start {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) at_rest: AtRests,
    pub(crate) sockets: Sockets,
    pub(crate) limits: Limits,
    pub(crate) shared: Shared,
}

impl Start {
    /// A worker's whole life. Returns once stopped and drained.
    pub(crate) fn run(self, runtime: &LocalRuntime, stopped: &mut watch::Receiver<bool>) {
        runtime.block_on(async {
            let Self {
                tracker,
                at_rest,
                sockets,
                limits,
                shared,
            } = self;
            let udp = UdpWorker::new(Arc::clone(&tracker), at_rest.clone(), shared);
            let udp = serve_udp(udp, sockets.udp, stopped);
            let worker = Rc::new(Worker::new(tracker, at_rest.http, limits));
            let mut accepting = Vec::new();
            for listener in sockets.http {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => accepting.push(tokio::task::spawn_local(
                        Rc::clone(&worker).accept(listener),
                    )),
                    Err(error) => tracing::error!(%error, "an announce socket can't be used"),
                }
            }
            let sweeping = tokio::task::spawn_local(Rc::clone(&worker).sweep());
            // An error means that the sender is gone: stop as well.
            let _ = stopped.wait_for(|&stop| stop).await;
            accepting.iter().for_each(JoinHandle::abort);
            sweeping.abort();
            worker.drain().await;
            for window in udp {
                // It panicked if it didn't end by itself: the others go on.
                let _ = window.await;
            }
        });
    }
}

/// A task for each UDP socket; they end by themselves once stopped and drained.
fn serve_udp(
    worker: UdpWorker,
    sockets: Vec<std::net::UdpSocket>,
    stopped: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let worker = Rc::new(worker);
    let serve = |socket| match tokio::net::UdpSocket::from_std(socket) {
        Ok(socket) => {
            let served = Rc::clone(&worker).serve(socket, stopped.clone());
            Some(tokio::task::spawn_local(served))
        }
        Err(error) => {
            tracing::error!(%error, "an announce socket can't be used");
            None
        }
    };
    sockets.into_iter().filter_map(serve).collect()
}

struct Worker {
    service: Rc<Service>,
    http: http1::Builder,
    limits: Limits,
    connections: Rc<RefCell<Slab<Connection>>>,
    sweeps: Rc<Sweeps>,
    meters: Meters,
}

struct Connection {
    activity: Rc<Activity>,
    task: JoinHandle<()>,
}

impl Worker {
    fn new(tracker: Arc<Tracker>, at_rest: Arc<AtRest>, limits: Limits) -> Self {
        let mut http = http1::Builder::new();
        // Not `pipeline_flush`: it holds replies back for as long as requests come in, without a limit.
        http.max_buf_size(MAX_REQUEST_BYTES);
        // To copy some hundred bytes of a body behind its head costs less than the kernel's look at two buffers.
        http.writev(false);
        Self {
            service: Rc::new(Service::new(tracker, at_rest)),
            http,
            limits,
            connections: Rc::default(),
            sweeps: Rc::new(Sweeps::new(&limits.patience)),
            meters: Meters::new(),
        }
    }

    async fn accept(self: Rc<Self>, listener: tokio::net::TcpListener) {
        let mut last_warning = None::<Instant>;
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    // A reply is one write: waiting for more to send would only delay it.
                    let _ = stream.set_nodelay(true);
                    self.serve(stream, from.ip().to_canonical());
                }
                Err(error) => {
                    if last_warning.is_none_or(|last| last.elapsed() > WARNING_PERIOD) {
                        last_warning = Some(Instant::now());
                        tracing::warn!(%error, "can't accept connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, from: IpAddr) {
        if self.connections.borrow().len() >= self.limits.connections {
            self.meters.turned_away.increment(1);
            return;
        }
        let activity = Rc::new(Activity::new(&self.sweeps));
        let io = TokioIo::new(Watched::new(stream, Rc::clone(&activity)));
        let (service, on_request) = (Rc::clone(&self.service), Rc::clone(&activity));
        let connection = self.http.serve_connection(
            io,
            service_fn(move |request| service.serve(request, from, &on_request)),
        );
        let mut connections = self.connections.borrow_mut();
        let place = connections.vacant_entry();
        let open = Open::new(place.key(), &self.connections, &self.meters.connections);
        let task = tokio::task::spawn_local(async move {
            let _open = open;
            // Whatever is wrong with a connection is the client's affair; hyper has sent a 4xx where it could.
            let _ = connection.await;
        });
        place.insert(Connection { activity, task });
    }

    /// Closes the connections that stand still, for ever.
    async fn sweep(self: Rc<Self>) {
        loop {
            sleep(self.sweeps.period()).await;
            self.sweeps.begin();
            for (_, connection) in &*self.connections.borrow() {
                if connection.activity.stands_still(&self.limits.patience) {
                    self.meters.timed_out.increment(1);
                    connection.task.abort();
                }
            }
        }
    }

    /// Every request that has begun to arrive is answered, with `Connection: close`; the others are closed.
    async fn drain(&self) {
        let deadline = Instant::now() + DRAIN_LIMIT;
        for (_, connection) in &*self.connections.borrow() {
            connection.activity.drain();
        }
        while Instant::now() < deadline && !self.connections.borrow().is_empty() {
            // What the kernel holds already is read before a connection counts as idle.
            sleep(DRAIN_STEP).await;
            for (_, connection) in &*self.connections.borrow() {
                if connection.activity.is_idle() {
                    connection.task.abort();
                }
            }
        }
    }
}

/// Stands for an open connection: wherever its task ends, even aborted, it takes itself off the list.
struct Open {
    key: usize,
    connections: Rc<RefCell<Slab<Connection>>>,
    gauge: Gauge,
}

impl Open {
    fn new(key: usize, connections: &Rc<RefCell<Slab<Connection>>>, gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self {
            key,
            connections: Rc::clone(connections),
            gauge: gauge.clone(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.decrement(1);
        self.connections.borrow_mut().try_remove(self.key);
    }
}
