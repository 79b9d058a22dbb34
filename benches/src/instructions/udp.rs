//! Announces over UDP (BEP 15): the clients are a process of their own, which valgrind doesn't count.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tracker_core::record::Event;
use tracker_core::server::{Listener, Options};

use super::workloads::site;
use crate::workload::NUMWANT;

/// Packets on their way at a time: enough that the server's batches are nearly full, and no more than a socket holds
/// anywhere. What a batch costs is divided by its packets, so that this figure moves more than the others.
const AT_A_TIME: usize = 50;

/// Purser, whole, but for the journal.
pub(super) fn purser(announces: u64) -> Result<()> {
    let site = site();
    let listener = Listener::bind(&Options {
        udp: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..Options::default()
    })?;
    let address = *listener.udp().first().context("no address")?;
    let server = listener.serve(&site.tracker)?;
    let clients = Command::new(std::env::current_exe()?)
        .args(["udp-clients", &address.to_string(), &announces.to_string()])
        .status()
        .context("can't start the clients")?;
    server.stop();
    ensure!(clients.success(), "the clients failed");
    Ok(())
}

/// Announces in turns: some of them, then all replies.
pub(super) fn clients(server: SocketAddr, announces: u64) -> Result<()> {
    let site = site();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let ask = |wanted: &[u8]| -> Result<[u8; 8]> {
        let mut reply = [0; 2048];
        let length = socket.recv(&mut reply)?;
        let reply = &reply[..length];
        ensure!(reply.starts_with(wanted), "{}", reply.escape_ascii());
        Ok(std::array::from_fn(|at| reply[8 + at]))
    };
    let protocol = 0x0417_2710_1980_u64.to_be_bytes();
    socket.send(&[&protocol[..], &[0; 4], b"conn"].concat())?;
    let id = ask(b"\0\0\0\0conn")?;
    let mut packets = site.sessions.iter().cycle().map(|session| {
        let key = site.ask_with_token(session, Event::None, NUMWANT).key;
        session.announce(Event::None, NUMWANT).packet(id, &key)
    });
    let mut made = 0;
    while made < announces {
        for packet in packets.by_ref().take(AT_A_TIME) {
            socket.send(&packet)?;
        }
        for _ in 0..AT_A_TIME {
            ask(b"\0\0\0\x01anno")?;
            made += 1;
        }
    }
    Ok(())
}
