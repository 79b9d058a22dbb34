//! Announces that are made one after the other, round and round, and timed without what the persister would do.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tracker_core::record::Record;
use tracker_core::tracker::{Outcome, Scratch};

use crate::site::{NOW, Site};

/// Announces between two drains of the outbox. At 100,000 a second, that is what gathers in the persister's 2 ms; and
/// a lane, which refuses at 65,536, is far from full even if all of them are one torrent's.
const BETWEEN_DRAINS: u64 = 200;

/// One announce, as a worker gets it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What stands in the path: a passkey, or a token.
    pub key: String,
    /// What stands behind the `?`.
    pub query: String,
    /// The client's address.
    pub from: IpAddr,
}

/// A site, and what it is asked.
#[derive(Debug)]
pub struct Traffic {
    site: Site,
    asks: Vec<Ask>,
    next: usize,
    scratch: Scratch,
    buffer: Vec<Record>,
}

/// How an announce went.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Answered, warned, refused.
    pub outcome: Outcome,
    /// The bencoded reply.
    pub body: &'a [u8],
}

impl Traffic {
    /// The announces, in this order, at this site.
    pub fn new(site: Site, asks: Vec<Ask>) -> Self {
        assert!(!asks.is_empty());
        Self {
            site,
            asks,
            next: 0,
            scratch: Scratch::with_rng(SmallRng::seed_from_u64(2)),
            buffer: Vec::new(),
        }
    }

    /// How many announces make a round.
    pub fn round(&self) -> usize {
        self.asks.len()
    }

    /// Makes the next one.
    pub fn announce(&mut self) -> Reply<'_> {
        let ask = &self.asks[self.next];
        self.next = (self.next + 1) % self.asks.len();
        let announced = self.site.tracker.announce(
            Some(ask.key.as_bytes()),
            ask.query.as_bytes(),
            ask.from,
            NOW,
            &mut self.scratch,
        );
        Reply {
            outcome: announced.outcome,
            body: &self.scratch.body,
        }
    }

    /// Makes so many, and says how long they took. The outbox is drained meanwhile, off the clock.
    pub fn time(&mut self, announces: u64) -> Duration {
        let mut total = Duration::ZERO;
        let mut made = 0;
        while made < announces {
            let batch = BETWEEN_DRAINS.min(announces - made);
            let start = Instant::now();
            for _ in 0..batch {
                black_box(self.announce());
            }
            total += start.elapsed();
            made += batch;
            self.drain(|_| {});
        }
        total
    }

    /// Takes what the announces left in the outbox.
    pub fn drain(&mut self, take: impl FnMut(&Record)) {
        self.site.tracker.outbox.drain(&mut self.buffer, take);
    }
}
