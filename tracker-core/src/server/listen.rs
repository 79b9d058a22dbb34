//! Announce sockets: one a worker and address, all on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, as the kernel allows.
const BACKLOG: i32 = 4096;

/// Bytes that may wait in a UDP socket, each way, as the kernel allows: some tens of thousands of announces, which is
/// what comes while a worker is away for a moment.
const UDP_BUFFER: usize = 4 << 20;

/// Bytes that the kernel holds for an HTTP connection, in and out: the longest request and the longest reply, with room.
/// By itself it would take megabytes for a client that asks and never reads.
const HTTP_BUFFERS: (usize, usize) = (32 << 10, 64 << 10);

/// Why the announce sockets can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("{0}: {1} is taken by another program")]
    Taken(&'static str, SocketAddr),
    /// The address isn't ours, the port is privileged, or the like.
    #[error("{0}: can't listen on {1}: {2}")]
    Refused(&'static str, SocketAddr, io::Error),
    /// The system has no thread left.
    #[error("can't start an announce worker: {0}")]
    Thread(io::Error),
}

/// The sockets of one protocol.
#[derive(Debug)]
pub(crate) struct Sockets<S> {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) by_worker: Vec<Vec<S>>,
}

impl Sockets<TcpListener> {
    pub(crate) fn http(addresses: &[SocketAddr], workers: usize) -> Result<Self, ListenError> {
        Self::bind(&Door::HTTP, addresses, workers, |socket| {
            // Whoever connects inherits them.
            socket.set_recv_buffer_size(HTTP_BUFFERS.0)?;
            socket.set_send_buffer_size(HTTP_BUFFERS.1)?;
            socket.listen(BACKLOG)
        })
    }
}

impl Sockets<UdpSocket> {
    pub(crate) fn udp(addresses: &[SocketAddr], workers: usize) -> Result<Self, ListenError> {
        Self::bind(&Door::UDP, addresses, workers, |socket| {
            socket.set_recv_buffer_size(UDP_BUFFER)?;
            socket.set_send_buffer_size(UDP_BUFFER)
        })
    }
}

impl<S: From<Socket>> Sockets<S> {
    fn bind(
        door: &Door,
        addresses: &[SocketAddr],
        workers: usize,
        open: impl Fn(&Socket) -> io::Result<()>,
    ) -> Result<Self, ListenError> {
        let mut sockets = Self {
            addresses: Vec::with_capacity(addresses.len()),
            by_worker: (0..workers.max(1)).map(|_| Vec::new()).collect(),
        };
        for &wanted in addresses {
            // SO_REUSEPORT would let a second tracker in beside a running one, and each would see half of the
            // announces. So ask for the port alone first.
            let address = door
                .bind(wanted, false)
                .and_then(|alone| Ok(alone.local_addr()?.as_socket().unwrap_or(wanted)))
                .map_err(|error| door.refused(wanted, error))?;
            sockets.addresses.push(address);
            for of_worker in &mut sockets.by_worker {
                let socket = door
                    .bind(address, true)
                    .and_then(|socket| open(&socket).map(|()| socket))
                    .map_err(|error| door.refused(address, error))?;
                of_worker.push(socket.into());
            }
        }
        Ok(sockets)
    }
}

/// What the two protocols' sockets differ in.
struct Door {
    /// Where the operator says the addresses.
    key: &'static str,
    kind: Type,
    protocol: Protocol,
}

impl Door {
    const HTTP: Self = Self {
        key: "tracker.http",
        kind: Type::STREAM,
        protocol: Protocol::TCP,
    };
    const UDP: Self = Self {
        key: "tracker.udp",
        kind: Type::DGRAM,
        protocol: Protocol::UDP,
    };

    fn bind(&self, address: SocketAddr, shared: bool) -> io::Result<Socket> {
        let kind = self.kind.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(self.protocol))?;
        if address.is_ipv6() {
            // `[::]` is for IPv4 too, whatever the system's default.
            socket.set_only_v6(false)?;
        }
        if self.kind == Type::STREAM {
            // A port that was in use a moment ago can be had again. (For UDP it would mean sharing it.)
            socket.set_reuse_address(true)?;
        }
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        Ok(socket)
    }

    fn refused(&self, address: SocketAddr, error: io::Error) -> ListenError {
        match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken(self.key, address),
            _ => ListenError::Refused(self.key, address, error),
        }
    }
}
