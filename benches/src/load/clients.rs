//! Who announces, and what: sessions that begin, go on, finish and end, in the shares that they are asked for.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::site::Site;

/// What a leecher still wants.
const LEFT: u64 = 734_003_200;

/// Counters begin here, so that they have ten digits, as counters of real clients do.
const BEGIN: u64 = 1_073_741_824;

/// A client in a swarm.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Its number; the peer id and the port come from it.
    pub number: u32,
    /// Whose.
    pub member: u32,
    /// In which swarm.
    pub torrent: u32,
    /// Bytes sent, as it says.
    pub uploaded: u64,
    /// Bytes got, as it says.
    pub downloaded: u64,
    /// Has everything.
    pub seeds: bool,
}

/// What is asked for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A regular announce.
    Plain,
    /// It begins.
    Started,
    /// It ends.
    Stopped,
    /// It has just got the last piece.
    Completed,
    /// Its torrent's numbers.
    Scrape,
}

impl Ask {
    /// All, in the order of `as usize`.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::Started,
        Self::Stopped,
        Self::Completed,
        Self::Scrape,
    ];

    /// As in `--mix`.
    pub fn name(self) -> &'static str {
        ["plain", "started", "stopped", "completed", "scrape"][self as usize]
    }
}

/// How many out of a hundred requests are what, as `plain=90,started=4,…`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// In the order of [`Ask::ALL`].
    pub shares: [f64; 5],
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut shares = [0.0; 5];
        for part in text.split(',') {
            let (name, share) = part.split_once('=').context("wants NAME=SHARE,…")?;
            let Some(ask) = Ask::ALL.into_iter().find(|ask| ask.name() == name) else {
                bail!("{name:?} is none of plain, started, stopped, completed and scrape");
            };
            let share: f64 = share.parse().with_context(|| format!("{share:?}"))?;
            ensure!(share >= 0.0, "a share can't be less than nothing");
            shares[ask as usize] = share;
        }
        ensure!(shares.iter().sum::<f64>() > 0.0, "no share at all");
        Ok(Self { shares })
    }
}

/// Which sessions there are.
#[derive(Clone, Debug, clap::Args)]
pub struct Population {
    /// Sessions, each a member's client in one swarm; half of them seed
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// The n-th torrent has its share of n^-ZIPF; 0: all have the same
    #[arg(long, default_value_t = 0.8)]
    pub zipf: f64,
    /// Out of a hundred requests
    #[arg(long, default_value = "plain=90,started=4,stopped=4,completed=2")]
    pub mix: Mix,
    /// How many peers each would like
    #[arg(long, default_value_t = 30)]
    pub numwant: u32,
}

/// The sessions that share a connection, or a socket.
#[derive(Debug)]
pub struct Clients {
    /// Those in their swarms first, then those that have stopped.
    sessions: Vec<Session>,
    active: usize,
    leechers: usize,
    /// In the order of [`Ask::ALL`], each up to where its share ends, of 2^32.
    ends: [u64; 5],
    rng: SmallRng,
}

impl Clients {
    /// All sessions of a load, dealt out to so many connections.
    pub fn deal(population: &Population, site: &Site, connections: usize) -> Vec<Self> {
        let mut total = 0.0;
        let shares: Vec<f64> = (1..=site.torrents)
            .map(|rank| {
                total += f64::from(rank).powf(-population.zipf);
                total
            })
            .collect();
        let mut rng = SmallRng::seed_from_u64(site.seed.into());
        let mut all: Vec<_> = (0..connections)
            .map(|n| Self::new(&population.mix, n))
            .collect();
        for number in 0..population.sessions {
            let at = rng.random_range(0.0..total);
            let torrent = shares.partition_point(|&share| share < at) as u32 + 1;
            all[number as usize % connections].sessions.push(Session {
                number,
                // In turn, so that nobody has more places in a swarm than the tracker allows.
                member: number % site.members + 1,
                torrent: torrent.min(site.torrents),
                uploaded: BEGIN,
                downloaded: BEGIN,
                // Not every second number: those of one connection would be all alike.
                seeds: rng.random_bool(0.5),
            });
        }
        all
    }

    fn new(mix: &Mix, seed: usize) -> Self {
        let total: f64 = mix.shares.iter().sum();
        let mut sum = 0.0;
        let ends = mix.shares.map(|share| {
            sum += share;
            (sum / total * (1_u64 << 32) as f64).round() as u64
        });
        Self {
            sessions: Vec::new(),
            active: 0,
            leechers: 0,
            ends,
            rng: SmallRng::seed_from_u64(seed as u64),
        }
    }

    /// The next of those that have never said a word, if there is one: it starts.
    pub fn first_word(&mut self) -> Option<(Session, Ask)> {
        let session = *self.sessions.get(self.active)?;
        self.active += 1;
        self.leechers += usize::from(!session.seeds);
        Some((session, Ask::Started))
    }

    /// As if all had said their first word.
    pub fn everybody_is_known(&mut self) {
        while self.first_word().is_some() {}
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whoever comes next, and what it says. At least one has to be in its swarm.
    pub fn speak(&mut self) -> (Session, Ask) {
        let drawn = u64::from(self.rng.random::<u32>());
        let ask = Ask::ALL[self.ends.iter().position(|&end| drawn < end).unwrap_or(0)];
        let at = self.rng.random_range(0..self.active);
        match ask {
            Ask::Started => self.start(at),
            Ask::Stopped if self.active > 1 => self.stop(at),
            Ask::Completed => self.complete(at),
            Ask::Scrape => (self.sessions[at], Ask::Scrape),
            _ => (self.grow(at), Ask::Plain),
        }
    }

    /// Somebody comes back; if all are there, one starts its client anew. Half of all should be seeders again.
    fn start(&mut self, at: usize) -> (Session, Ask) {
        let at = match self.active < self.sessions.len() {
            true => {
                self.active += 1;
                self.active - 1
            }
            false => {
                self.leechers -= usize::from(!self.sessions[at].seeds);
                at
            }
        };
        let session = &mut self.sessions[at];
        session.seeds = self.leechers * 2 >= self.active;
        self.leechers += usize::from(!session.seeds);
        (session.uploaded, session.downloaded) = (BEGIN, BEGIN);
        (*session, Ask::Started)
    }

    fn stop(&mut self, at: usize) -> (Session, Ask) {
        let session = self.grow(at);
        self.active -= 1;
        self.leechers -= usize::from(!session.seeds);
        self.sessions.swap(at, self.active);
        (session, Ask::Stopped)
    }

    /// A leecher, if a few tries find one.
    fn complete(&mut self, at: usize) -> (Session, Ask) {
        for at in (at..self.active).take(8) {
            if !self.sessions[at].seeds {
                self.grow(at);
                self.leechers -= 1;
                self.sessions[at].seeds = true;
                return (self.sessions[at], Ask::Completed);
            }
        }
        (self.grow(at), Ask::Plain)
    }

    fn grow(&mut self, at: usize) -> Session {
        let growth = self.rng.random::<u64>();
        let session = &mut self.sessions[at];
        session.uploaded += growth & 0xff_ffff;
        if !session.seeds {
            session.downloaded += growth >> 40;
        }
        *session
    }
}

impl Session {
    /// Bytes it still wants.
    pub fn left(&self) -> u64 {
        if self.seeds { 0 } else { LEFT }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        // An odd factor: neighbours' ports differ, and 2^15 of them before one comes again.
        (self.number.wrapping_mul(40_503) as u16) | 0x400
    }

    /// qBittorrent's; libtorrent ends its ids in characters that stand in a URL as they are.
    pub fn peer_id(&self) -> [u8; 20] {
        const URL_SAFE: &[u8; 64] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.";
        let mut id = *b"-qB4650-............";
        // SplitMix64's finisher: each number gives another ten characters.
        let mut bits = u64::from(self.number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        for byte in &mut id[8..18] {
            *byte = URL_SAFE[(bits & 63) as usize];
            bits >>= 6;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn site() -> Site {
        Site {
            members: 100,
            torrents: 10,
            seed: 1,
            token_key: String::new(),
        }
    }

    fn population(mix: &str) -> Population {
        Population {
            sessions: 1_000,
            zipf: 0.8,
            mix: mix.parse().unwrap(),
            numwant: 30,
        }
    }

    #[test]
    fn mix_comes_in_its_shares_and_half_stay_seeders() {
        let mix = population("plain=88,started=4,stopped=4,completed=2,scrape=2");
        let [mut clients] = Clients::deal(&mix, &site(), 1).try_into().unwrap();
        while clients.first_word().is_some() {}
        let mut counts = [0; 5];
        (0..100_000).for_each(|_| counts[clients.speak().1 as usize] += 1);
        for (count, share) in counts.into_iter().zip([88_000, 4_000, 4_000, 2_000, 2_000]) {
            assert!((share - 400..=share + 400).contains(&count), "{counts:?}");
        }
        let leechers = clients.sessions[..clients.active].iter();
        assert_eq!(leechers.filter(|s| !s.seeds).count(), clients.leechers);
        let share = clients.leechers as f64 / clients.active as f64;
        assert!((0.4..0.6).contains(&share), "{share}");
    }

    #[test]
    fn peer_ids_differ() {
        let [clients] = Clients::deal(&population("plain=1"), &site(), 1)
            .try_into()
            .unwrap();
        let ids: std::collections::HashSet<_> =
            clients.sessions.iter().map(Session::peer_id).collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn mix_that_cant_be_is_refused() {
        for text in ["", "plain", "plain=-1", "plan=1", "plain=0", "plain=x"] {
            assert!(text.parse::<Mix>().is_err(), "{text:?}");
        }
    }
}
