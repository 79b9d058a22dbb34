//! # purser-floor
//!
//! The least that a server can do: take a request, and answer with bytes that were ready before. What a tracker costs
//! beyond that is the tracker.
//!
//! [`http`] has two: hyper as it comes, and less than hyper. `udp` answers packets in batches. All have one thread
//! a worker, each with a socket of its own (SO_REUSEPORT), as Purser has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use crate::limits::raise_open_files;

pub mod body;
pub mod http;
mod udp;

/// How often a worker that waits for packets looks whether it should end.
const STOP_PERIOD: Duration = Duration::from_millis(200);

/// What a floor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A bare hyper server.
    Hyper,
    /// tokio and httparse: what HTTP over epoll costs at the least.
    Tokio,
    /// Packets, in batches (BEP 15).
    Udp,
}

/// Which floor, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What it is made of
    #[arg(value_enum)]
    pub kind: Kind,
    /// Where it listens; port 0: any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// How long its answer is: the bencode over HTTP, the whole packet over UDP
    #[arg(long, value_name = "N", default_value_t = 311)]
    pub body_bytes: usize,
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
}

/// A floor that runs.
#[derive(Debug)]
pub struct Floor {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<Result<()>>>,
}

impl Floor {
    /// Starts the workers.
    pub fn start(options: &Options) -> Result<Self> {
        raise_open_files(0)?;
        let body: Arc<[u8]> = match options.kind {
            Kind::Udp => {
                let peers = options.body_bytes.checked_sub(20);
                ensure!(
                    peers.is_some_and(|bytes| bytes.is_multiple_of(6)),
                    "a packet has 20 bytes, and 6 more for each peer"
                );
                Arc::default()
            }
            _ => body::announce(options.body_bytes)?.into(),
        };
        let (stop, stopped) = watch::channel(false);
        let (mut address, mut workers) = (options.listen, Vec::new());
        for number in 0..options.workers.max(1) {
            let worker = thread::Builder::new().name(format!("floor-{number}"));
            let (kind, body, stopped) = (options.kind, Arc::clone(&body), stopped.clone());
            let worker = match kind {
                Kind::Udp => {
                    let socket = bind(&mut address, Type::DGRAM)?;
                    socket.set_read_timeout(Some(STOP_PERIOD))?;
                    let length = options.body_bytes;
                    worker.spawn(move || udp::serve(&socket.into(), length, &stopped))
                }
                _ => {
                    let socket = bind(&mut address, Type::STREAM)?;
                    socket.listen(1024)?;
                    worker.spawn(move || http::serve(kind, socket.into(), &body, stopped))
                }
            };
            workers.push(worker?);
        }
        Ok(Self {
            address,
            stop,
            workers,
        })
    }

    /// Ends it, open connections and all.
    pub fn stop(self) -> Result<()> {
        // Fails only when all workers have gone already.
        let _ = self.stop.send(true);
        for worker in self.workers {
            match worker.join() {
                Ok(ended) => ended?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    }

    /// Until SIGTERM, or so long.
    pub fn run(self, limit: Duration) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut term =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
                () = tokio::time::sleep(limit) => {}
            }
            anyhow::Ok(())
        })?;
        self.stop()
    }
}

/// The first worker may get any port; the others get the same.
fn bind(address: &mut SocketAddr, kind: Type) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), kind, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&(*address).into())?;
    *address = socket.local_addr()?.as_socket().context("no address")?;
    Ok(socket)
}
