//! The swarm of one torrent: who is in it, and a random handful of them for whoever asks.
//!
//! Peers stand in one array: first those who want nothing (seeders and partial seeds), then the leechers. Each part is
//! kept in random order: a newcomer changes places with a random peer of its part, which is how a shuffle is dealt one
//! card at a time. So any run of neighbours is a random sample, and a reply reads one or two runs of memory, however
//! big the swarm is.

use hashbrown::HashTable;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::peer::Peer;
use super::sample::PeerList;
use crate::accounting::{Baseline, Counters};
use crate::ids::{PeerId, TorrentId, UnixTime, UserId};
use crate::record::{Endpoint, Event, Role, Settled, Ticket};
use crate::refusal::Warning;
use crate::registry::TorrentStatus;
use crate::reply::Counts;

/// What an announce says to a swarm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    pub(crate) user: UserId,
    pub(crate) peer_id: PeerId,
    pub(crate) counters: Counters,
    pub(crate) role: Role,
    pub(crate) event: Event,
    pub(crate) endpoint: Endpoint,
    /// Tells a hybrid's two hashes apart; never 0.
    pub(crate) hash_tag: u8,
    pub(crate) now: UnixTime,
}

/// What a swarm expects of its visitors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) min_interval_secs: u32,
    pub(crate) max_clients: usize,
}

/// What came of an announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) ticket: Ticket,
    /// `None`: the ledger must settle it.
    pub(crate) settled: Option<Settled>,
    pub(crate) warning: Option<Warning>,
    position: Option<usize>,
}

impl Visit {
    /// Whether it is in the swarm now: not after `stopped`, and not when there was no room for it.
    pub(crate) fn is_in_swarm(&self) -> bool {
        self.position.is_some()
    }
}

#[derive(Debug)]
pub(crate) struct Torrent {
    /// `None`: not registered, tracked without accounts.
    pub(crate) id: Option<TorrentId>,
    pub(crate) status: TorrentStatus,
    /// Snatches, ever.
    pub(crate) completed: u32,
    /// Announces taken since the process began.
    reports: u64,
    peers: Vec<Peer>,
    /// How many of `peers`, from the front, want nothing.
    givers: u32,
    /// How many of the givers are partial seeds.
    partials: u32,
    /// Positions by member: finds a session, and counts a member's sessions.
    index: HashTable<u32>,
}

impl Torrent {
    pub(crate) fn new(id: Option<TorrentId>, status: TorrentStatus, completed: u32) -> Self {
        Self {
            id,
            status,
            completed,
            reports: 0,
            peers: Vec::new(),
            givers: 0,
            partials: 0,
            index: HashTable::new(),
        }
    }

    /// What replies and scrapes say of it. A partial seed isn't complete (BEP 21).
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            complete: self.givers - self.partials,
            incomplete: self.peers.len() as u32 - self.givers + self.partials,
            downloaded: self.completed,
            partial: self.partials,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Takes an announce in: the peer comes, stays or goes, and its counters are compared with its baseline.
    pub(crate) fn announce(
        &mut self,
        visitor: &Visitor,
        rules: Rules,
        rng: &mut SmallRng,
    ) -> Visit {
        self.reports += 1;
        let ticket = Ticket(self.reports);
        let known = self.find(visitor.user, visitor.peer_id);
        if visitor.event == Event::Stopped {
            let settled = known.and_then(|at| account(&mut self.peers[at], visitor, ticket));
            if let Some(at) = known {
                self.remove(at);
            }
            return Visit {
                ticket,
                settled,
                warning: None,
                position: None,
            };
        }

        // A client that moves to an address finds nobody there: who was, was its own past.
        let known = match known {
            Some(at) if !self.peers[at].is_at(visitor.endpoint) && self.remove_ghost(visitor) => {
                self.find(visitor.user, visitor.peer_id)
            }
            known => known,
        };
        let Some(at) = known else {
            if !self.make_room(visitor, rules.max_clients) {
                let warning = Some(Warning::TooManyClients);
                return Visit {
                    ticket,
                    settled: None,
                    warning,
                    position: None,
                };
            }
            let mut peer = Peer::newcomer(visitor.user, visitor.peer_id, visitor.role);
            peer.note_report(ticket);
            peer.seen_at(visitor.endpoint, visitor.hash_tag, visitor.now);
            let position = Some(self.insert(peer, rng));
            return Visit {
                ticket,
                settled: None,
                warning: None,
                position,
            };
        };

        let peer = &mut self.peers[at];
        // A download finishes once: a seeder that says so again is a regular visitor.
        let is_news = match visitor.event {
            Event::Started => true,
            Event::Completed => peer.role != visitor.role,
            _ => false,
        };
        let too_soon = !is_news && peer.is_early(visitor, rules.min_interval_secs);
        let settled = account(peer, visitor, ticket);
        if too_soon {
            // The time stays: a client that asks every ten minutes gets peers every twenty, and not never.
            peer.move_to(visitor.endpoint);
        } else {
            peer.seen_at(visitor.endpoint, visitor.hash_tag, visitor.now);
        }
        Visit {
            ticket,
            settled,
            warning: too_soon.then_some(Warning::TooSoon),
            position: Some(self.set_role(at, visitor.role, rng)),
        }
    }

    /// Fills `list` with random peers for the visitor: leechers for one who wants nothing, both for a leecher.
    pub(crate) fn sample(
        &self,
        visit: &Visit,
        role: Role,
        list: &mut PeerList,
        rng: &mut SmallRng,
    ) {
        let givers = self.givers as usize;
        let leechers = self.peers.len() - givers;
        if role.wants_pieces() {
            // Half of each, and what one part lacks the other makes up.
            let half = list
                .room()
                .div_ceil(2)
                .max(list.room().saturating_sub(leechers));
            let rest = list.room().saturating_sub(half);
            self.run(0, givers, rest, visit.position, list, rng);
        }
        self.run(givers, leechers, 0, visit.position, list, rng);
    }

    /// Neighbours from a random place on, round the corner if need be, until only `leave` places are free.
    fn run(
        &self,
        from: usize,
        length: usize,
        leave: usize,
        own: Option<usize>,
        list: &mut PeerList,
        rng: &mut SmallRng,
    ) {
        let wanted = list.room().saturating_sub(leave);
        if length == 0 || wanted == 0 {
            return;
        }
        let start = if length > wanted {
            rng.random_range(0..length)
        } else {
            0
        };
        for at in (from + start..from + length).chain(from..from + start) {
            if list.room() <= leave {
                return;
            }
            if Some(at) != own {
                list.push(&self.peers[at]);
            }
        }
    }

    /// Brings back a session that the database knows. One that has announced since isn't touched, and of more than
    /// `max_clients` of a member's the latest stay, as they would have if they had announced in turn.
    pub(crate) fn restore(&mut self, peer: Peer, max_clients: usize, rng: &mut SmallRng) -> bool {
        if self.find(peer.user, peer.peer_id).is_some() {
            return false;
        }
        let own = self.clients_of(peer.user);
        if own.clients >= max_clients {
            match own.oldest.filter(|(seen, _)| *seen < peer.last_seen()) {
                Some((_, at)) => self.remove(at),
                None => return false,
            }
        }
        self.insert(peer, rng);
        true
    }

    /// The ledger has settled a session's baseline. Takes it over unless the session has reported more since `last`.
    pub(crate) fn settle(
        &mut self,
        user: UserId,
        peer_id: PeerId,
        last: Ticket,
        baseline: Baseline,
    ) {
        if let Some(at) = self.find(user, peer_id)
            && self.peers[at].last_report() == Some(last)
        {
            self.peers[at].settle(baseline);
        }
    }

    /// Looks at up to `budget` peers below position `from` and removes those not heard from since `oldest`, or whose
    /// member isn't to stay. Returns where to go on, or `None` when it is through.
    pub(crate) fn sweep(
        &mut self,
        from: usize,
        budget: usize,
        oldest: UnixTime,
        stays: impl Fn(UserId) -> bool,
    ) -> Option<usize> {
        let from = from.min(self.peers.len());
        let to = from.saturating_sub(budget);
        // Downwards: a removal fills its place from above, where all have been looked at.
        for at in (to..from).rev() {
            let peer = &mut self.peers[at];
            if !peer.keep_since(oldest) || !stays(peer.user) {
                self.remove(at);
            }
        }
        if to > 0 {
            return Some(to);
        }
        if self.peers.capacity() > 16 && self.peers.capacity() / 4 > self.peers.len() {
            self.peers.shrink_to(self.peers.len() * 2);
            let peers = &self.peers;
            self.index
                .shrink_to(peers.len() * 2, |&at| hash(peers[at as usize].user));
        }
        None
    }

    /// A newcomer over the member's limit takes the place of a session that is likely its own past: the one at the
    /// same address and port, or, when it says `started`, the one silent for longest. Else there is no room.
    fn make_room(&mut self, visitor: &Visitor, max_clients: usize) -> bool {
        self.remove_ghost(visitor);
        let own = self.clients_of(visitor.user);
        if own.clients < max_clients {
            return true;
        }
        let started = visitor.event == Event::Started;
        match own.oldest.filter(|_| started) {
            Some((_, at)) => {
                self.remove(at);
                true
            }
            None => false,
        }
    }

    /// Removes the member's other session at the same address and port, which can't be there any more.
    fn remove_ghost(&mut self, visitor: &Visitor) -> bool {
        let mut positions = self.index.iter_hash(hash(visitor.user)).copied();
        let ghost = positions.find(|&at| {
            let peer = &self.peers[at as usize];
            peer.user == visitor.user
                && peer.peer_id != visitor.peer_id
                && peer.is_at(visitor.endpoint)
        });
        if let Some(at) = ghost {
            self.remove(at as usize);
        }
        ghost.is_some()
    }

    fn clients_of(&self, user: UserId) -> Clients {
        let mut found = Clients::default();
        for &at in self.index.iter_hash(hash(user)) {
            let peer = &self.peers[at as usize];
            if peer.user == user {
                let candidate = (peer.last_seen(), at as usize);
                found.clients += 1;
                found.oldest = Some(
                    found
                        .oldest
                        .map_or(candidate, |oldest| oldest.min(candidate)),
                );
            }
        }
        found
    }

    fn find(&self, user: UserId, peer_id: PeerId) -> Option<usize> {
        self.index
            .find(hash(user), |&at| self.peers[at as usize].is(user, peer_id))
            .map(|&at| at as usize)
    }

    fn insert(&mut self, peer: Peer, rng: &mut SmallRng) -> usize {
        let (user, role) = (peer.user, peer.role);
        let at = self.peers.len();
        self.peers.push(peer);
        let peers = &self.peers;
        self.index
            .insert_unique(hash(user), at as u32, |&at| hash(peers[at as usize].user));
        if role.wants_pieces() {
            self.shuffle_in(at, rng)
        } else {
            self.move_to_givers(at, rng)
        }
    }

    fn remove(&mut self, mut at: usize) {
        if at < self.givers as usize {
            at = self.move_to_leechers(at);
        }
        let last = self.peers.len() - 1;
        self.swap(at, last);
        let user = self.peers[last].user;
        if let Ok(entry) = self.index.find_entry(hash(user), |&at| at as usize == last) {
            entry.remove();
        }
        self.peers.pop();
    }

    fn set_role(&mut self, at: usize, role: Role, rng: &mut SmallRng) -> usize {
        let before = self.peers[at].role;
        if before == role {
            return at;
        }
        let at = if before.wants_pieces() {
            at
        } else {
            self.move_to_leechers(at)
        };
        self.peers[at].role = role;
        if role.wants_pieces() {
            self.shuffle_in(at, rng)
        } else {
            self.move_to_givers(at, rng)
        }
    }

    /// Moves the border over a leecher, and the leecher to a random place among the givers.
    fn move_to_givers(&mut self, at: usize, rng: &mut SmallRng) -> usize {
        let border = self.givers as usize;
        self.swap(at, border);
        self.givers += 1;
        self.partials += u32::from(self.peers[border].role == Role::Partial);
        let place = rng.random_range(0..=border);
        self.swap(border, place);
        place
    }

    /// Moves the border back over a giver; it is the first of the leechers then.
    fn move_to_leechers(&mut self, at: usize) -> usize {
        self.partials -= u32::from(self.peers[at].role == Role::Partial);
        self.givers -= 1;
        let border = self.givers as usize;
        self.swap(at, border);
        border
    }

    fn shuffle_in(&mut self, at: usize, rng: &mut SmallRng) -> usize {
        let place = rng.random_range(self.givers as usize..self.peers.len());
        self.swap(at, place);
        place
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        /// No position: a swarm has at most as many peers as there are sessions in memory.
        const ASIDE: usize = u32::MAX as usize;
        let (user_a, user_b) = (self.peers[a].user, self.peers[b].user);
        self.reindex(user_a, a, ASIDE);
        self.reindex(user_b, b, a);
        self.reindex(user_a, ASIDE, b);
        self.peers.swap(a, b);
    }

    fn reindex(&mut self, user: UserId, from: usize, to: usize) {
        if let Some(at) = self.index.find_mut(hash(user), |&at| at as usize == from) {
            *at = to as u32;
        }
    }
}

/// A member's sessions in one swarm.
#[derive(Default)]
struct Clients {
    clients: usize,
    /// The one silent for longest, and where it stands.
    oldest: Option<(UnixTime, usize)>,
}

/// Compares the counters with the baseline, if the baseline is settled.
fn account(peer: &mut Peer, visitor: &Visitor, ticket: Ticket) -> Option<Settled> {
    let Some(mut baseline) = peer.baseline() else {
        peer.note_report(ticket);
        return None;
    };
    let growth = baseline.observe(visitor.counters, visitor.event == Event::Started);
    peer.settle(baseline);
    Some(Settled { growth, baseline })
}

/// Member ids come one after the other; a multiplication spreads them over the table.
fn hash(user: UserId) -> u64 {
    u64::from(user.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests;
