//! Canned replies over UDP, in batches.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};

use anyhow::Result;
use nix::sys::socket::MsgFlags;
use rustix::net::SocketAddrAny;
use tokio::sync::watch;

use crate::packets::{Inbox, Outbox};

/// A worker's whole life. The socket has a timeout, so that it is seen when it is told to stop.
pub(super) fn serve(
    socket: &UdpSocket,
    length: usize,
    stopped: &watch::Receiver<bool>,
) -> Result<()> {
    let mut reply = vec![0; length];
    reply[3] = 1;
    reply[8..12].copy_from_slice(&1800_u32.to_be_bytes());
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::default());
    while !*stopped.borrow() {
        match inbox.receive(socket, MsgFlags::MSG_WAITFORONE) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        for number in 0..inbox.len() {
            let (packet, from) = inbox.packet(number);
            let (Some(from), Some(head)) = (from, packet.first_chunk::<16>()) else {
                continue;
            };
            let transaction = &head[12..];
            match head[8..12] {
                [0, 0, 0, 0] => {
                    outbox.bytes.extend_from_slice(&[0; 4]);
                    outbox.bytes.extend_from_slice(transaction);
                    outbox.bytes.extend_from_slice(b"anybody.");
                }
                _ => {
                    reply[4..8].copy_from_slice(transaction);
                    outbox.bytes.extend_from_slice(&reply);
                }
            }
            let from = SocketAddr::V4(SocketAddrV4::from(from));
            outbox.finish(Some(SocketAddrAny::from(from)));
        }
        // What there is no room for is lost, as packets are.
        outbox.send(socket)?;
    }
    Ok(())
}
