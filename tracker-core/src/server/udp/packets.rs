//! Many packets at a time: recvmmsg(2) and sendmmsg(2), over buffers that are used again.
//!
//! Received with nix and sent with rustix, as each has one of the two without `unsafe` and without allocating.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::udp::REPLY_MAX;

/// Packets in one system call. More would make the others wait longer, and gain little.
pub(super) const BATCH: usize = 64;

/// Nothing that is longer makes sense: a full scrape has 1,496 bytes, and whole packets seldom more than that.
const PACKET_MAX: usize = 2048;

/// When the kernel has no room for answers, they wait so long for some, and then they are dropped.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// Packets as they came.
pub(super) struct Incoming {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; PACKET_MAX]]>,
    arrived: Vec<Arrived>,
}

struct Arrived {
    length: usize,
    is_cut: bool,
    from: SocketAddr,
}

/// A packet that came.
pub(super) struct Packet<'a> {
    pub(super) bytes: &'a [u8],
    /// It was longer than this.
    pub(super) is_cut: bool,
    pub(super) from: SocketAddr,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![[0; PACKET_MAX]; BATCH].into_boxed_slice(),
            arrived: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there, without waiting.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        // Whether the runtime thinks that there's something or not: nothing is answered twice.
        self.arrived.clear();
        let received = socket.try_io(Interest::READABLE, || {
            self.receive_now(socket)?;
            match self.arrived.len() {
                BATCH => Ok(()),
                // The socket is empty: what comes from here on wakes us again, and one system call is saved.
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        received.or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(error),
        })
    }

    /// The same, whatever the runtime knows of the socket; false when there was nothing.
    pub(super) fn receive_now(&mut self, socket: &UdpSocket) -> io::Result<bool> {
        self.arrived.clear();
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [_; BATCH] = array::from_fn(|_| {
            let buffer = buffers.next().map_or(&mut [][..], |buffer| &mut buffer[..]);
            [IoSliceMut::new(buffer)]
        });
        let messages = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        self.arrived.extend(messages.map(|message| Arrived {
            length: message.bytes,
            is_cut: message.flags.contains(MsgFlags::MSG_TRUNC),
            from: message.address.and_then(address).unwrap_or(NOWHERE),
        }));
        Ok(!self.arrived.is_empty())
    }

    /// There may be more where these came from.
    pub(super) fn is_full(&self) -> bool {
        self.arrived.len() == BATCH
    }

    pub(super) fn packets(&self) -> impl ExactSizeIterator<Item = Packet<'_>> {
        self.arrived
            .iter()
            .zip(&self.buffers)
            .map(|(arrived, buffer)| Packet {
                bytes: buffer.get(..arrived.length).unwrap_or_default(),
                is_cut: arrived.is_cut,
                from: arrived.from,
            })
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn address(storage: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || storage.as_sockaddr_in().copied().map(SocketAddrV4::from);
    let v6 = || storage.as_sockaddr_in6().copied().map(SocketAddrV6::from);
    v6().map(SocketAddr::from)
        .or_else(|| v4().map(SocketAddr::from))
}

/// Answers, one behind the other.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    /// Where each of them ends, and where it goes.
    packets: Vec<(usize, SocketAddrAny)>,
}

impl Outgoing {
    pub(super) fn with_capacity() -> Self {
        Self {
            bytes: Vec::with_capacity(BATCH * REPLY_MAX),
            packets: Vec::with_capacity(BATCH),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    /// What has been written since the last packet's end.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.bytes[self.start(self.packets.len())..]
    }

    /// Makes a packet of it, if it is anything.
    pub(super) fn finish(&mut self, to: impl Into<SocketAddrAny>) {
        if !self.unfinished().is_empty() {
            self.packets.push((self.bytes.len(), to.into()));
        }
    }

    /// Takes it back.
    pub(super) fn discard(&mut self) {
        self.bytes.truncate(self.start(self.packets.len()));
    }

    /// Each packet.
    pub(super) fn packets(&self) -> impl Iterator<Item = (&[u8], &SocketAddrAny)> {
        (0..self.len()).map(|place| (self.packet(place), &self.packets[place].1))
    }

    /// Sends all of them. Returns how many couldn't be sent.
    pub(super) async fn send(&self, socket: &UdpSocket) -> usize {
        let (mut next, mut failed) = (0, 0);
        while next < self.len() {
            match socket.try_io(Interest::WRITABLE, || self.send_from(next, socket)) {
                Ok(sent) => next += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if timeout(SEND_PATIENCE, socket.writable()).await.is_err() {
                        return failed + self.len() - next;
                    }
                }
                // This one can't go where it should: there's no way there, or a firewall.
                Err(_) => (next, failed) = (next + 1, failed + 1),
            }
        }
        failed
    }

    fn send_from(&self, first: usize, socket: &UdpSocket) -> io::Result<usize> {
        let count = BATCH.min(self.len() - first);
        let nowhere = SocketAddrAny::from(NOWHERE);
        let slices: [_; BATCH] = array::from_fn(|place| [IoSlice::new(self.packet(first + place))]);
        let mut controls: [_; BATCH] = array::from_fn(|_| SendAncillaryBuffer::default());
        let mut place = 0;
        let mut messages = controls.each_mut().map(|control| {
            let to = self
                .packets
                .get(first + place)
                .map_or(&nowhere, |(_, to)| to);
            let message = MMsgHdr::new_with_addr(to, &slices[place], control);
            place += 1;
            message
        });
        Ok(sendmmsg(
            socket,
            &mut messages[..count],
            SendFlags::DONTWAIT,
        )?)
    }

    fn start(&self, place: usize) -> usize {
        let before = place
            .checked_sub(1)
            .and_then(|place| self.packets.get(place));
        before.map_or(0, |(end, _)| *end)
    }

    /// Empty beyond the last.
    fn packet(&self, place: usize) -> &[u8] {
        let end = self.packets.get(place).map_or(0, |(end, _)| *end);
        self.bytes.get(self.start(place)..end).unwrap_or_default()
    }
}
