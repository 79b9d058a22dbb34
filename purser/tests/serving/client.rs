//! A client that knows what it has moved, and says so until it has been heard.

use rand::RngExt;
use rand::rngs::SmallRng;
use tracker_core::accounting::Counters;

use crate::wire::{Family, Wire};

/// One program of one member on one torrent. It has a session at a time, each with a peer id of its own.
pub(crate) struct Client {
    pub(crate) user: i64,
    pub(crate) torrent: i64,
    pub(crate) has_completed: bool,
    /// `/announce/KEY?info_hash=HASH&port=PORT`
    url: String,
    session: Option<Session>,
    /// In sessions that are over.
    moved: Counters,
}

struct Session {
    peer_id: u64,
    moved: Counters,
    left: u64,
}

impl Client {
    pub(crate) fn new(user: i64, torrent: i64, url: String) -> Self {
        Self {
            user,
            torrent,
            has_completed: false,
            url,
            session: None,
            moved: Counters::default(),
        }
    }

    /// In all sessions.
    pub(crate) fn moved(&self) -> Counters {
        let now = self.session.as_ref().map(|session| session.moved);
        self.moved.saturating_add(now.unwrap_or_default())
    }

    /// The next thing in its life, said until it is answered.
    pub(crate) fn step(&mut self, wire: &mut Wire, rng: &mut SmallRng) {
        if self.session.is_none() {
            return self.start(wire, rng);
        }
        match rng.random_range(0..100) {
            0..8 => self.stop(wire, rng),
            8..16 => self.complete(wire, rng),
            16..24 => {
                self.go_on(rng);
                self.say(wire, Family::V4, "");
                self.say(wire, Family::V4, "");
            }
            24..32 => {
                self.go_on(rng);
                self.say(wire, Family::V4, "");
                self.say(wire, Family::V6, "");
            }
            _ => {
                self.go_on(rng);
                self.say(wire, Family::V4, "");
            }
        }
    }

    /// A new session. Nothing moves before the tracker knows of it.
    pub(crate) fn start(&mut self, wire: &mut Wire, rng: &mut SmallRng) {
        let is_seeder = rng.random_ratio(1, 4);
        self.session = Some(Session {
            peer_id: rng.random_range(0..1 << 48),
            moved: Counters::default(),
            left: if is_seeder {
                0
            } else {
                rng.random_range(1..1 << 32)
            },
        });
        self.say(wire, Family::V4, "started");
    }

    /// A session's last word: no later one would carry what it moved.
    pub(crate) fn stop(&mut self, wire: &mut Wire, rng: &mut SmallRng) {
        self.go_on(rng);
        self.say(wire, Family::V4, "stopped");
        self.moved = self.moved();
        self.session = None;
    }

    /// Regular announces with something new in each, without waiting for the answers. Returns how many were taken.
    pub(crate) fn hurry(&mut self, wire: &mut Wire, rng: &mut SmallRng, times: usize) -> usize {
        let mut next = || {
            self.go_on(rng);
            self.target("")
        };
        let targets: Vec<_> = (0..times).filter_map(|_| next()).collect();
        wire.announce_at_once(Family::V4, &targets)
    }

    /// Whether the tracker has no time for an announce with this event.
    pub(crate) fn is_turned_away(&self, wire: &mut Wire, event: &str) -> bool {
        let target = self.target(event);
        target.is_some_and(|target| wire.is_too_busy_for(Family::V4, &target))
    }

    /// A regular announce, if it has a session.
    pub(crate) fn say_where_it_is(&mut self, wire: &mut Wire) {
        if self.session.is_some() {
            self.say(wire, Family::V4, "");
        }
    }

    fn complete(&mut self, wire: &mut Wire, rng: &mut SmallRng) {
        self.go_on(rng);
        match &mut self.session {
            Some(session) if session.left > 0 => {
                session.moved.downloaded += session.left;
                session.left = 0;
                self.say(wire, Family::V4, "completed");
                self.has_completed = true;
            }
            _ => self.say(wire, Family::V4, ""),
        }
    }

    /// Moves some bytes.
    fn go_on(&mut self, rng: &mut SmallRng) {
        if let Some(session) = &mut self.session {
            session.moved.uploaded += rng.random_range(0..1 << 30);
            let downloaded = rng.random_range(0..=session.left / 4);
            session.moved.downloaded += downloaded;
            session.left -= downloaded;
        }
    }

    fn say(&self, wire: &mut Wire, family: Family, event: &str) {
        if let Some(target) = self.target(event) {
            wire.announce(family, &target);
        }
    }

    /// `None` without a session.
    fn target(&self, event: &str) -> Option<String> {
        let Session {
            peer_id,
            moved,
            left,
        } = self.session.as_ref()?;
        Some(format!(
            "{}&peer_id=-XX0001-{peer_id:012x}&uploaded={}&downloaded={}&left={left}&event={event}",
            self.url, moved.uploaded, moved.downloaded
        ))
    }
}
