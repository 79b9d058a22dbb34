//! Announces and junk over UDP (BEP 15): the clients are a process of their own, which valgrind doesn't count.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracker_core::record::Event;
use tracker_core::server::{Listener, Options};

use super::workloads::site;
use crate::workload::NUMWANT;

/// Packets on their way at a time: a quarter of what the server reads at once.
const WINDOW: usize = 16;

/// What the clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Packets {
    /// Announces with a token in the URL data (BEP 41).
    Announces,
    /// The same with connection ids that were never given out: the dearest of what isn't answered.
    Forged,
}

/// Purser, whole, but for the journal. The figure is for a packet.
pub(super) fn purser(packets: Packets, count: u64) -> Result<()> {
    let site = site();
    let listener = Listener::bind(&Options {
        udp: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..Options::default()
    })?;
    let address = *listener.udp().first().context("no address")?;
    let server = listener.serve(&site.tracker)?;
    let kind = match packets {
        Packets::Announces => "announces",
        Packets::Forged => "forged",
    };
    let clients = Command::new(std::env::current_exe()?)
        .args([
            "udp-clients",
            &address.to_string(),
            &count.to_string(),
            kind,
        ])
        .status()
        .context("can't start the clients")?;
    server.stop();
    ensure!(clients.success(), "the clients failed");
    Ok(())
}

/// Packets in turns: a window of them, then all replies. Behind forged ones goes a connect, whose reply says that they have
/// been read.
pub(super) fn clients(server: SocketAddr, count: u64, packets: Packets) -> Result<()> {
    let site = site();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let connect = [&0x0417_2710_1980_u64.to_be_bytes()[..], &[0; 4], b"conn"].concat();
    let ask = |wanted: &[u8]| -> Result<[u8; 8]> {
        let mut reply = [0; 2048];
        let length = socket.recv(&mut reply)?;
        let reply = &reply[..length];
        ensure!(reply.starts_with(wanted), "{}", reply.escape_ascii());
        Ok(std::array::from_fn(|at| reply[8 + at]))
    };
    socket.send(&connect)?;
    let mut id = ask(b"\0\0\0\0conn")?;
    if packets == Packets::Forged {
        id[7] ^= 1;
    }
    let mut next = site.sessions.iter().cycle().map(|session| {
        let key = site.ask_with_token(session, Event::None, NUMWANT).key;
        session.announce(Event::None, NUMWANT).packet(id, &key)
    });
    let mut sent = 0;
    while sent < count {
        for packet in next.by_ref().take(WINDOW) {
            socket.send(&packet)?;
            sent += 1;
        }
        match packets {
            Packets::Announces => {
                for _ in 0..WINDOW {
                    ask(b"\0\0\0\x01anno")?;
                }
            }
            Packets::Forged => {
                socket.send(&connect)?;
                ask(b"\0\0\0\0conn")?;
            }
        }
    }
    Ok(())
}
