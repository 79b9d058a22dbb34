//! Listening sockets: one a worker and address, all on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, as the kernel allows.
const BACKLOG: i32 = 4096;

/// Why the announce sockets can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("tracker.http: {0} is taken by another program")]
    Taken(SocketAddr),
    /// The address isn't ours, the port is privileged, or the like.
    #[error("tracker.http: can't listen on {0}: {1}")]
    Refused(SocketAddr, io::Error),
    /// The system has no thread left.
    #[error("can't start an announce worker: {0}")]
    Thread(io::Error),
}

#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) by_worker: Vec<Vec<TcpListener>>,
}

impl Sockets {
    pub(crate) fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Self, ListenError> {
        let mut sockets = Self {
            addresses: Vec::with_capacity(addresses.len()),
            by_worker: (0..workers.max(1)).map(|_| Vec::new()).collect(),
        };
        for &wanted in addresses {
            // SO_REUSEPORT would let a second tracker in beside a running one, and each would see half of the
            // announces. So ask for the port alone first.
            let address = bind(wanted, false).and_then(|alone| local_address(&alone, wanted))?;
            sockets.addresses.push(address);
            for listeners in &mut sockets.by_worker {
                let socket = bind(address, true)?;
                socket
                    .listen(BACKLOG)
                    .map_err(|error| refused(address, error))?;
                listeners.push(socket.into());
            }
        }
        Ok(sockets)
    }
}

fn bind(address: SocketAddr, shared: bool) -> Result<Socket, ListenError> {
    let bound = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            // `[::]` is for IPv4 too, whatever the system's default.
            socket.set_only_v6(false)?;
        }
        // A port that was in use a moment ago can be had again.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bound().map_err(|error| refused(address, error))
}

fn local_address(socket: &Socket, wanted: SocketAddr) -> Result<SocketAddr, ListenError> {
    let address = socket
        .local_addr()
        .map_err(|error| refused(wanted, error))?;
    Ok(address.as_socket().unwrap_or(wanted))
}

fn refused(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Refused(address, error),
    }
}
