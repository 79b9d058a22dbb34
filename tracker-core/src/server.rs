//! HTTP announces from the network: one thread a core, each with its own runtime, listeners and connections.
//!
//! The kernel spreads new connections over the workers (SO_REUSEPORT), and a connection never leaves its worker: what
//! workers share is the [`Tracker`] alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::tracker::Tracker;

mod connection;
mod listen;
mod meters;
mod service;
mod worker;

pub use connection::Patience;
pub use listen::ListenError;
use listen::Sockets;

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

/// The workers, running.
#[derive(Debug)]
pub struct HttpServer {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Binds every address for every worker, then starts them all, or none.
    pub fn start(tracker: &Arc<Tracker>, options: &HttpOptions) -> Result<Self, ListenError> {
        let sockets = Sockets::bind(&options.listen, options.workers)?;
        let addresses = sockets.addresses.clone();
        let (stop, stopped) = watch::channel(false);
        let limits = worker::Limits {
            connections: match options.max_connections {
                0 => usize::MAX,
                max => max.div_ceil(options.workers.max(1)),
            },
            patience: options.patience,
        };
        let workers = sockets
            .by_worker
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| {
                let (tracker, mut stopped) = (Arc::clone(tracker), stopped.clone());
                std::thread::Builder::new()
                    .name(format!("announce-{number}"))
                    .spawn(move || worker::run(tracker, listeners, limits, &mut stopped))
            })
            .collect::<io::Result<_>>()
            .map_err(ListenError::Thread)?;
        Ok(Self {
            addresses,
            stop,
            workers,
        })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

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
