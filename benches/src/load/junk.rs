//! What comes to a UDP port from strangers: packets that are no requests, or that lie. What one costs the server.

use std::fs;
use std::net::SocketAddr;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::MsgFlags;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::outcome::{Outcome, merge};
use super::pace::Schedule;
use super::run::{duration, memory, spent, timing};
use super::server::Server;
use super::tally::Failures;
use super::udp::{ANNOUNCE, CONNECT, PROTOCOL, dial, put_url};
use crate::packets::{BATCH, Inbox, Outbox};

/// Packets that are sent round and round.
const POOL: usize = 1_024;

/// Then the pool is made anew, with a connection id that still holds.
const REFRESH: Duration = Duration::from_secs(30);

/// What is sent, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Junk {
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub target: SocketAddr,
    /// Packets a second, or `max`
    #[arg(long, default_value = "max")]
    pub rate: Rate,
    /// For how long, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// The server's process: its CPU time and memory are read
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Another seed, other junk
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second.
    Fixed(f64),
    /// As fast as the kernel takes them.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("max", _) => Ok(Self::Max),
            (_, Ok(rate)) if rate > 0.0 && rate.is_finite() => Ok(Self::Fixed(rate)),
            _ => Err("wants a number above zero, or max".to_owned()),
        }
    }
}

/// Sends it.
pub fn junk(options: &Junk) -> Result<Outcome> {
    let (socket, mut id) = dial(options.target)?;
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let mut pool = make(&mut rng, id);
    let mut made = Instant::now();
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::default());
    let server = options.server_pid.map(|pid| Server { pid });
    let look = || server.map(Server::look).transpose();
    let (before, dropped) = (look()?, drops(options.target)?);
    let begin = Instant::now();
    let end = begin + options.duration;
    let mut schedule = match options.rate {
        Rate::Fixed(rate) => Some(Schedule::new(begin, rate, options.duration)),
        Rate::Max => None,
    };
    let bar = timing("junk", options.duration);
    let (mut sent, mut unsent, mut replies) = (0_u64, 0_u64, 0_u64);
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if now - made >= REFRESH {
            id = dial(options.target)?.1;
            pool = make(&mut rng, id);
            made = now;
        }
        let due = match &mut schedule {
            Some(schedule) => (0..BATCH)
                .take_while(|_| schedule.take(now).is_some())
                .count(),
            None => BATCH,
        };
        for number in sent as usize..sent as usize + due {
            outbox.bytes.extend_from_slice(&pool[number % POOL]);
            outbox.finish(None);
        }
        sent += due as u64;
        unsent += outbox.send(&socket)? as u64;
        while inbox.receive(&socket, MsgFlags::MSG_DONTWAIT).is_ok() {
            replies += inbox.len() as u64;
        }
        if due < BATCH {
            let due = schedule.as_ref().and_then(Schedule::due).unwrap_or(end);
            sleep(due.min(end).saturating_duration_since(Instant::now()));
        }
        bar.set_position((now - begin).as_millis() as u64);
    }
    bar.finish_and_clear();
    let wall = begin.elapsed().as_secs_f64();
    let after = look()?;
    // What didn't find room in the server's socket never got to the server.
    let dropped = drops(options.target)?.saturating_sub(dropped);
    let reached = sent.saturating_sub(unsent).saturating_sub(dropped);
    let figures = json!({ "junk": {
        "sent": sent - unsent,
        "dropped_by_the_kernel": dropped,
        "reached": reached,
        "reached_a_second": (reached as f64 / wall).round(),
        "replies": replies,
        "seconds": wall,
    }});
    Ok(Outcome {
        figures: merge([
            figures,
            spent(before.clone(), after.clone(), reached),
            memory(before, after),
        ]),
        failures: Failures::default(),
    })
}

/// As many of each kind.
fn make(rng: &mut SmallRng, id: u64) -> Vec<Vec<u8>> {
    (0..POOL).map(|number| one(rng, number % 7, id)).collect()
}

fn one(rng: &mut SmallRng, kind: usize, id: u64) -> Vec<u8> {
    let forged = rng.random();
    let random = |rng: &mut SmallRng, length| (0..length).map(|_| rng.random()).collect();
    let length = rng.random_range(16..200);
    match kind {
        // Shorter than any request.
        0 => random(rng, length % 16),
        // As long as a packet can be without being cut.
        1 => random(rng, 1_400),
        2 => random(rng, length),
        // A whole announce, with a connection id that nobody was given.
        3 => announce(
            rng,
            forged,
            ANNOUNCE,
            b"/announce/00112233445566778899aabbccddeeff",
        ),
        // Actions that there aren't, with an id that is good.
        4 => announce(rng, id, length as u32 + 4, b"/announce"),
        // The URL ends before its length says so; the id is good.
        5 => {
            let url = b"/announce/00112233445566778899aabbccddeeff";
            let mut packet = announce(rng, id, ANNOUNCE, url);
            packet.truncate(98 + 2 + length % url.len());
            packet
        }
        // A connect of another protocol.
        _ => announce(rng, PROTOCOL ^ 1, CONNECT, b""),
    }
}

fn announce(rng: &mut SmallRng, id: u64, action: u32, url: &[u8]) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&action.to_be_bytes());
    packet.extend_from_slice(&rng.random::<[u8; 32]>());
    packet.extend_from_slice(&rng.random::<[u8; 32]>());
    packet.extend_from_slice(&rng.random::<[u8; 22]>());
    put_url(&mut packet, url);
    packet
}

/// Packets that the kernel dropped at a port, as it counts them: the last column of /proc/net/udp.
fn drops(target: SocketAddr) -> Result<u64> {
    let port = format!(":{:04X}", target.port());
    let mut total = 0;
    let mut found = false;
    for path in ["/proc/net/udp", "/proc/net/udp6"] {
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            if fields.get(1).is_some_and(|local| local.ends_with(&port)) {
                let drops = fields.last().context("an empty line")?;
                total += drops.parse::<u64>()?;
                found = true;
            }
        }
    }
    ensure!(found, "nobody here listens on port {}", target.port());
    Ok(total)
}
