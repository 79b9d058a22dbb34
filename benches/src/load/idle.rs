//! Connections that announce once and then rest, as most of a tracker's are.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::ProgressBar;

use crate::limits::raise_open_files;

use super::clients::{Ask, Clients};
use super::http::{PATIENCE, dial};
use super::reply;
use super::request::Requests;
use super::tally::Failures;

/// Of each address of ours: the kernel gives out some 28,000 ports.
const PER_ADDRESS: usize = 10_000;

/// A server's page is given back, or a buffer let go, a moment after the reply.
const SETTLE: Duration = Duration::from_millis(500);

/// They stay open until this is dropped.
#[derive(Debug)]
pub struct Idle {
    sockets: Vec<TcpStream>,
}

impl Idle {
    /// Opens so many, one after the other, and announces once on each.
    pub fn open(
        server: SocketAddr,
        count: usize,
        requests: &Requests,
        clients: &mut Clients,
        bar: &ProgressBar,
    ) -> Result<Self> {
        raise_open_files(count as u64 + 1_000)?;
        let mut sockets = Vec::with_capacity(count);
        let mut request = Vec::new();
        let mut buffer = vec![0; 4096];
        for number in 0..count {
            // 127.0.0.1 is for those who work.
            let from = Ipv4Addr::from_bits(0x7f00_0002 + (number / PER_ADDRESS) as u32);
            let mut socket: TcpStream = dial(server, Some(from))?.into();
            socket.set_read_timeout(Some(PATIENCE))?;
            request.clear();
            let (session, ask) = clients
                .first_word()
                .unwrap_or_else(|| (clients.speak().0, Ask::Plain));
            requests.write(&mut request, &session, ask);
            socket.write_all(&request)?;
            read_reply(&mut socket, ask, &mut buffer)
                .with_context(|| format!("idle connection {number}"))?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
            bar.inc(1);
        }
        sleep(SETTLE);
        Ok(Self { sockets })
    }

    /// Counts those that the server has closed meanwhile.
    pub fn check(&mut self, failures: &mut Failures) {
        for socket in &mut self.sockets {
            match socket.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => failures.add("an idle connection was closed"),
            }
        }
    }
}

fn read_reply(socket: &mut TcpStream, ask: Ask, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let count = socket.read(&mut buffer[filled..])?;
        ensure!(count > 0, "the server hung up");
        filled += count;
        match reply::read(&buffer[..filled], ask) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if filled < buffer.len() => {}
            Ok(None) => bail!("a reply that doesn't end"),
            Err(fault) => return Err(anyhow!("{fault}")),
        }
    }
}
