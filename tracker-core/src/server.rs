//! HTTP announces from the network: one thread a core, each with its own runtime, listeners and connections.
//!
//! The kernel spreads new connections over the workers (SO_REUSEPORT), and a connection never leaves its worker: what
//! workers share is the [`Tracker`] alone.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::watch;

use crate::tracker::Tracker;

mod connection;
mod listen;
mod meters;
mod rest;
mod service;
mod worker;

pub use connection::Patience;
pub use listen::ListenError;
use listen::Sockets;
use rest::AtRest;

/// What the HTTP side is told at its start.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where to listen. Port 0: any free one.
    pub listen: Vec<SocketAddr>,
    /// Threads; at least 1.
    pub workers: usize,
    /// Open connections over all workers; 0: no limit.
    pub max_connections: usize,
    /// How long a connection may stand still.
    pub patience: Patience,
}

/// Bound, so that clients can connect, and not answering yet.
#[derive(Debug)]
pub struct HttpListener {
    sockets: Sockets,
    limits: worker::Limits,
}

impl HttpListener {
    /// Binds every address for every worker, or nothing.
    pub fn bind(options: &HttpOptions) -> Result<Self, ListenError> {
        let limits = worker::Limits {
            connections: match options.max_connections {
                0 => usize::MAX,
                max => max.div_ceil(options.workers.max(1)),
            },
            patience: options.patience,
        };
        let sockets = Sockets::bind(&options.listen, options.workers)?;
        Ok(Self { sockets, limits })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.sockets.addresses
    }

    /// Starts the workers.
    pub fn serve(self, tracker: &Arc<Tracker>) -> Result<HttpServer, ListenError> {
        let (stop, stopped) = watch::channel(false);
        let limits = self.limits;
        let start = |(number, listeners)| {
            let at_rest = Arc::new(AtRest::new(tracker, "http"));
            let (tracker, mut stopped) = (Arc::clone(tracker), stopped.clone());
            let (tell, told) = mpsc::sync_channel(1);
            let run = move || {
                // It can't leave its thread, so it's made there.
                let runtime = match runtime(&at_rest) {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                // Whoever started it has gone only if another worker failed: then this one is stopped too.
                let _ = tell.send(Ok(()));
                worker::run(&runtime, tracker, at_rest, listeners, limits, &mut stopped);
            };
            let name = format!("announce-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(run)?;
            told.recv()
                .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
            Ok(thread)
        };
        let by_worker = self.sockets.by_worker.into_iter().enumerate();
        let workers: io::Result<_> = by_worker.map(start).collect();
        Ok(HttpServer {
            stop,
            workers: workers.map_err(ListenError::Thread)?,
        })
    }
}

fn runtime(at_rest: &Arc<AtRest>) -> io::Result<LocalRuntime> {
    let at_rest = Arc::clone(at_rest);
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || at_rest.give())
        .build_local(LocalOptions::default())
}

/// The workers, running.
#[derive(Debug)]
pub struct HttpServer {
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Takes no new connections, finishes the open replies, and returns when all is quiet: seconds, at most. Blocks.
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
