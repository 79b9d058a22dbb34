//! A client as it sees itself: what it has moved, what it has said, and what it was promised.

use std::net::IpAddr;

use rand::RngExt;
use rand::rngs::StdRng;
use tracker_core::accounting::Counters;
use tracker_core::record::Event;

/// One member's client on one torrent, session after session.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: u32,
    pub(crate) torrent: u8,
    /// Which process it announces to, and waits for.
    pub(crate) node: usize,
    /// The other process hears everything too.
    pub(crate) announces_to_both: bool,
    pub(crate) session: Option<Session>,
    /// What it moved in the sessions that are over.
    pub(crate) moved: Counters,
    /// A promise that it finished the torrent.
    pub(crate) snatched: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) peer_id: u64,
    pub(crate) counters: Counters,
    pub(crate) left: u64,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// An event that hasn't been answered: it is said again until it is.
    pub(crate) unanswered: Option<Event>,
    /// Which processes have answered it.
    answers: [bool; 2],
    /// The report before the last one, of which a copy may still be under way.
    pub(crate) stale: Option<Report>,
    last: Option<Report>,
}

/// One announce.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) event: Event,
    pub(crate) counters: Counters,
    pub(crate) left: u64,
}

impl Session {
    pub(crate) fn new(random: &mut StdRng) -> Self {
        Self {
            peer_id: random.random(),
            counters: Counters::default(),
            left: if random.random_bool(0.5) { 0 } else { 1000 },
            address: address(random),
            // Its low byte is never 0: the journal's bytes are compared to find where a write ended.
            port: 256 * random.random_range(4..250) + random.random_range(1..255),
            unanswered: Some(Event::Started),
            answers: [false; 2],
            stale: None,
            last: None,
        }
    }

    /// The same client, which lost its counters and not its peer id.
    pub(crate) fn restart(&mut self) -> Counters {
        self.wants(Event::Started);
        (self.stale, self.last) = (None, None);
        std::mem::take(&mut self.counters)
    }

    /// From now on it says this until it is answered.
    pub(crate) fn wants(&mut self, event: Event) {
        (self.unanswered, self.answers) = (Some(event), [false; 2]);
    }

    /// A process has answered. The event that needs no more answers than that.
    pub(crate) fn is_answered(&mut self, by: usize, is_wanted_of_both: bool) -> Option<Event> {
        self.answers[by] = true;
        match is_wanted_of_both && self.answers != [true; 2] {
            true => None,
            false => self.unanswered.take(),
        }
    }

    pub(crate) fn moves_bytes(&mut self, random: &mut StdRng) {
        let more = Counters {
            uploaded: random.random_range(0..1 << 30),
            downloaded: random.random_range(0..1 << 20) * u64::from(self.left > 0),
        };
        self.counters = self.counters.saturating_add(more);
    }

    /// What it says now.
    pub(crate) fn report(&mut self, event: Event) -> Report {
        let report = Report {
            event,
            counters: self.counters,
            left: self.left,
        };
        // A late `started` can't be told from a restart, and a late `stopped` is the same as a late report.
        self.stale = self.last.take().filter(|last| last.event != Event::Started);
        self.last = Some(report.clone());
        report
    }
}

pub(crate) fn address(random: &mut StdRng) -> IpAddr {
    match random.random_bool(0.7) {
        true => IpAddr::from(random.random::<[u8; 4]>().map(|byte| byte | 1)),
        false => IpAddr::from(random.random::<[u8; 16]>().map(|byte| byte | 1)),
    }
}
