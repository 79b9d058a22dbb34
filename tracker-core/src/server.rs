//! Announces from the network: one thread a core, each with its own runtime, sockets and connections.
//!
//! The kernel spreads new connections and UDP clients over the workers (SO_REUSEPORT), and they never leave their worker:
//! what workers share is the [`Tracker`] alone.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::watch;

use crate::ids::UnixTime;
use crate::tracker::Tracker;
use crate::udp::ConnectionIds;

mod connection;
mod listen;
mod meters;
mod rest;
mod service;
mod udp;
mod worker;

pub use connection::Patience;
pub use listen::ListenError;
use listen::Sockets;
use rest::AtRests;

/// What the announce side is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen for HTTP. Port 0: any free one.
    pub http: Vec<SocketAddr>,
    /// Where to listen for UDP. Port 0: any free one.
    pub udp: Vec<SocketAddr>,
    /// Threads; at least 1.
    pub workers: usize,
    /// Open connections over all workers; 0: no limit.
    pub max_connections: usize,
    /// How long a connection may stand still.
    pub patience: Patience,
    /// The time, as UDP announces are told it. A test may have its own.
    pub clock: fn() -> UnixTime,
}

impl Default for Options {
    /// Listens nowhere.
    fn default() -> Self {
        Self {
            http: Vec::new(),
            udp: Vec::new(),
            workers: 1,
            max_connections: 0,
            patience: Patience::default(),
            clock: UnixTime::now,
        }
    }
}

/// Bound, so that clients can connect, and not answering yet.
#[derive(Debug)]
pub struct Listener {
    http: Sockets<TcpListener>,
    udp: Sockets<UdpSocket>,
    limits: worker::Limits,
    shared: udp::Shared,
}

impl Listener {
    /// Binds every address for every worker, or nothing.
    pub fn bind(options: &Options) -> Result<Self, ListenError> {
        let limits = worker::Limits {
            connections: match options.max_connections {
                0 => usize::MAX,
                max => max.div_ceil(options.workers.max(1)),
            },
            patience: options.patience,
        };
        let shared = udp::Shared {
            ids: ConnectionIds::new(),
            clock: options.clock,
        };
        Ok(Self {
            http: Sockets::http(&options.http, options.workers)?,
            udp: Sockets::udp(&options.udp, options.workers)?,
            limits,
            shared,
        })
    }

    /// Where it listens for HTTP, with the ports that the kernel chose.
    pub fn http(&self) -> &[SocketAddr] {
        &self.http.addresses
    }

    /// Where it listens for UDP.
    pub fn udp(&self) -> &[SocketAddr] {
        &self.udp.addresses
    }

    /// Starts the workers.
    pub fn serve(self, tracker: &Arc<Tracker>) -> Result<Server, ListenError> {
        let (stop, stopped) = watch::channel(false);
        let (limits, shared) = (self.limits, self.shared);
        let start = |(number, (http, udp))| {
            let at_rest = AtRests::new(tracker, shared.clock);
            let (tracker, mut stopped) = (Arc::clone(tracker), stopped.clone());
            let (sockets, shared) = (worker::Sockets { http, udp }, shared.clone());
            let (tell, told) = mpsc::sync_channel(1);
            let run = move || {
                // It can't leave its thread, so it's made there.
                let runtime = match runtime(&at_rest) {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                // Whoever started it has gone only if another worker failed: then this one is stopped too.
                let _ = tell.send(Ok(()));
                let worker = worker::Start {
                    tracker,
                    at_rest,
                    sockets,
                    limits,
                    shared,
                };
                worker.run(&runtime, &mut stopped);
            };
            let name = format!("announce-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(run)?;
            told.recv()
                .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
            Ok(thread)
        };
        let by_worker = self.http.by_worker.into_iter().zip(self.udp.by_worker);
        let by_worker = by_worker.enumerate();
        let workers: io::Result<_> = by_worker.map(start).collect();
        Ok(Server {
            stop,
            workers: workers.map_err(ListenError::Thread)?,
        })
    }
}

fn runtime(at_rest: &AtRests) -> io::Result<LocalRuntime> {
    let at_rest = at_rest.clone();
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || at_rest.give())
        .build_local(LocalOptions::default())
}

/// The workers, running.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Takes no new connections, answers what has come in, finishes the open replies, and returns when all is quiet:
    /// seconds, at most. Blocks.
    pub fn stop(self) {
        // Fails only when every worker has gone already.
        let _ = self.stop.send(true);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("an announce worker panicked");
            }
        }
    }
}
