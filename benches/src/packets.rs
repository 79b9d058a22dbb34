//! Many packets in one system call: recvmmsg(2) and sendmmsg(2), over buffers that are used again.
//!
//! Received with nix and sent with rustix, as each has one of the two without `unsafe`.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

/// Packets in one call.
pub(crate) const BATCH: usize = 64;

/// A reply of 200 peers has 1,220 bytes.
const PACKET_MAX: usize = 2048;

/// Packets that have come, over IPv4.
#[derive(Debug)]
pub(crate) struct Inbox {
    headers: MultiHeaders<SockaddrIn>,
    buffers: Box<[[u8; PACKET_MAX]]>,
    arrived: Vec<(usize, Option<SockaddrIn>)>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![[0; PACKET_MAX]; BATCH].into_boxed_slice(),
            arrived: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there. Without any: `WouldBlock`, or with [`MsgFlags::MSG_WAITFORONE`] as long as the socket's
    /// timeout is.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd, flags: MsgFlags) -> io::Result<()> {
        self.arrived.clear();
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [_; BATCH] = array::from_fn(|_| {
            let buffer = buffers.next().map_or(&mut [][..], |buffer| &mut buffer[..]);
            [IoSliceMut::new(buffer)]
        });
        let fd = socket.as_raw_fd();
        let messages = recvmmsg(fd, &mut self.headers, slices.iter_mut(), flags, None)?;
        self.arrived
            .extend(messages.map(|message| (message.bytes, message.address)));
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.arrived.len()
    }

    /// A packet, and whom it is from.
    pub(crate) fn packet(&self, number: usize) -> (&[u8], Option<SockaddrIn>) {
        let (length, from) = self.arrived[number];
        (&self.buffers[number][..length], from)
    }
}

/// Packets that are to be sent, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The next packet is written at its end.
    pub(crate) bytes: Vec<u8>,
    /// Where each ends, and where it goes; on a connected socket nowhere else than always.
    packets: Vec<(usize, Option<SocketAddrAny>)>,
}

impl Outbox {
    /// Makes a packet of what has been written since the last one.
    pub(crate) fn finish(&mut self, to: Option<SocketAddrAny>) {
        self.packets.push((self.bytes.len(), to));
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Sends all of them; returns how many there was no room for in the kernel.
    pub(crate) fn send(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        let mut next = 0;
        while next < self.packets.len() {
            match self.send_from(next, socket) {
                Ok(count) => next += count.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let left = self.packets.len() - next;
        self.bytes.clear();
        self.packets.clear();
        Ok(left)
    }

    fn send_from(&self, first: usize, socket: &impl AsFd) -> io::Result<usize> {
        let count = BATCH.min(self.packets.len() - first);
        let slices: [_; BATCH] = array::from_fn(|at| [IoSlice::new(self.packet(first + at))]);
        let mut controls: [_; BATCH] = array::from_fn(|_| SendAncillaryBuffer::default());
        let mut at = 0;
        let mut messages = controls.each_mut().map(|control| {
            let to = self.packets.get(first + at).and_then(|(_, to)| to.as_ref());
            let slices = &slices[at];
            at += 1;
            match to {
                Some(to) => MMsgHdr::new_with_addr(to, slices, control),
                None => MMsgHdr::new(slices, control),
            }
        });
        Ok(sendmmsg(
            socket,
            &mut messages[..count],
            SendFlags::DONTWAIT,
        )?)
    }

    /// Empty beyond the last.
    fn packet(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.packets.get(number).map(|(end, _)| *end);
        let begin = number.checked_sub(1).and_then(end).unwrap_or(0);
        end(number).map_or(&[], |end| &self.bytes[begin..end])
    }
}
