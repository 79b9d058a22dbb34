//! Clients over loopback: each keeps one connection, and announces again as soon as it is answered.

use std::cell::Cell;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tracker_core::record::{Event, Role};

use crate::site::{Session, Site};
use crate::workload::NUMWANT;

/// How many out of a hundred announces carry an event; the others are regular ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) started: u32,
    pub(super) stopped: u32,
    pub(super) completed: u32,
}

/// Makes so many announces over so many connections, and returns when all are answered.
pub(super) async fn announce(
    site: &std::rc::Rc<Site>,
    server: SocketAddr,
    events: Events,
    connections: usize,
    count: u64,
) -> Result<()> {
    let left = std::rc::Rc::new(Cell::new(count));
    let local = LocalSet::new();
    let mut clients = JoinSet::new();
    let share = site.sessions.len() / connections;
    for n in 0..connections {
        let (site, left) = (std::rc::Rc::clone(site), std::rc::Rc::clone(&left));
        let client = async move {
            let mut client = Client {
                socket: TcpStream::connect(server).await?,
                sessions: site.sessions[n * share..(n + 1) * share].to_vec(),
                away: Vec::new(),
                rng: SmallRng::seed_from_u64(n as u64),
                reply: Vec::new(),
            };
            client.socket.set_nodelay(true)?;
            while left.get() > 0 {
                left.set(left.get() - 1);
                let (session, event) = client.choose(events);
                let ask = site.ask(&session, event, NUMWANT);
                client.ask(&format!(
                    "GET /announce/{}?{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: qBittorrent/4.6.5\r\n\
                     Accept-Encoding: gzip\r\n\r\n",
                    ask.key, ask.query
                ))
                .await?;
            }
            anyhow::Ok(())
        };
        clients.spawn_local_on(client, &local);
    }
    local
        .run_until(async {
            while let Some(client) = clients.join_next().await {
                client??;
            }
            Ok(())
        })
        .await
}

struct Client {
    socket: TcpStream,
    /// Those that are in their swarms.
    sessions: Vec<Session>,
    /// Those that have stopped.
    away: Vec<Session>,
    rng: SmallRng,
    reply: Vec<u8>,
}

impl Client {
    fn choose(&mut self, events: Events) -> (Session, Event) {
        let drawn = self.rng.random_range(0..100);
        let at = self.rng.random_range(0..self.sessions.len());
        let Events {
            started,
            stopped,
            completed,
        } = events;
        if drawn < started {
            // Somebody comes back, or starts its client anew.
            let session = self.away.pop().inspect(|back| self.sessions.push(*back));
            (session.unwrap_or(self.sessions[at]), Event::Started)
        } else if drawn < started + stopped && self.sessions.len() > 1 {
            let session = self.sessions.swap_remove(at);
            self.away.push(session);
            (session, Event::Stopped)
        } else if drawn < started + stopped + completed {
            let session = Session {
                role: Role::Seeder,
                ..self.sessions[at]
            };
            (session, Event::Completed)
        } else {
            (self.sessions[at], Event::None)
        }
    }

    async fn ask(&mut self, request: &str) -> Result<()> {
        self.socket.write_all(request.as_bytes()).await?;
        self.reply.clear();
        loop {
            let read = self.socket.read_buf(&mut self.reply).await?;
            ensure!(read > 0, "the server hung up");
            if let Some(length) = length(&self.reply)?
                && self.reply.len() >= length
            {
                break;
            }
        }
        ensure!(
            !self.reply.windows(8).any(|word| word == b"failure "),
            "refused: {}",
            self.reply.escape_ascii()
        );
        Ok(())
    }
}

/// How long a reply is with its head; `None` as long as the head isn't there.
fn length(reply: &[u8]) -> Result<Option<usize>> {
    let Some(end) = reply.windows(4).position(|word| word == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&reply[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let body = lines
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("no content-length")?
        .1;
    Ok(Some(end + 4 + body.parse::<usize>()?))
}
