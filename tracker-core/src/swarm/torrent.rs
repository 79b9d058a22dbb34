//! The swarm of one torrent: what an announce does to it, and who is in the reply.
//!
//! A reply's peers are one or two runs of the [crowd](super::crowd): as many steps in a swarm of ten as in one of a
//! hundred thousand.

use std::ops::Range;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::crowd::Crowd;
use super::peer::Peer;
use super::sample::PeerList;
use super::slots::Slots;
use crate::accounting::Counters;
use crate::ids::{PeerId, TorrentId, UnixTime, UserId};
use crate::record::{Endpoint, Event, Record, Role, SessionKey};
use crate::refusal::{Refusal, Warning};
use crate::registry::{RegisteredTorrent, TorrentStatus};
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
    /// Torrents that the visitor may download at a time; 0: no limit.
    pub(crate) download_slots: u32,
}

/// What came of an announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) warning: Option<Warning>,
    /// It says something that its last announce didn't: an event, other counters, another role or address.
    pub(crate) has_news: bool,
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
    crowd: Crowd,
}

impl Torrent {
    pub(crate) fn new(id: Option<TorrentId>, status: TorrentStatus, completed: u32) -> Self {
        Self {
            id,
            status,
            completed,
            crowd: Crowd::default(),
        }
    }

    /// What replies and scrapes say of it. A partial seed isn't complete (BEP 21).
    pub(crate) fn counts(&self) -> Counts {
        let partial = self.crowd.partials();
        Counts {
            complete: self.crowd.givers().len() as u32 - partial,
            incomplete: self.crowd.leechers().len() as u32 + partial,
            downloaded: self.completed,
            partial,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.crowd.len() == 0
    }

    /// Takes the row's present state in place of whatever was known. The peers stay.
    pub(crate) fn register(&mut self, row: &RegisteredTorrent, slots: &Slots) {
        let had_slots = self.has_slots();
        // A swarm counts its own snatches: the row read here may be ahead of what the ledger has told it, or behind.
        if self.id != Some(row.id) {
            self.completed = row.completed;
            // It was open to clients without a key: from now on members are among themselves.
            self.sweep(
                usize::MAX,
                usize::MAX,
                UnixTime(0),
                UserId::is_member,
                slots,
            );
        }
        self.id = Some(row.id);
        self.status = row.status;
        match (had_slots, self.has_slots()) {
            (false, true) => self.downloaders().for_each(|user| {
                slots.take(user, NO_LIMIT);
            }),
            (true, false) => self.downloaders().for_each(|user| slots.give_back(user)),
            _ => {}
        }
    }

    /// It goes, and everybody in it.
    pub(crate) fn give_back_slots(&self, slots: &Slots) {
        if self.has_slots() {
            self.downloaders().for_each(|user| slots.give_back(user));
        }
    }

    /// Takes an announce in: the peer comes, stays or goes. Refused, it changes nothing.
    pub(crate) fn announce(
        &mut self,
        visitor: &Visitor,
        rules: Rules,
        slots: &Slots,
        rng: &mut SmallRng,
    ) -> Result<Visit, Refusal> {
        let known = self.crowd.find(visitor.user, visitor.peer_id);
        let wants_pieces = visitor.role.wants_pieces();
        let leeches = known.is_some_and(|at| self.crowd.leechers().contains(&at));
        // Whether the member's downloads may change. A regular announce finds out without a look at the member's others.
        let may_change = match known {
            _ if visitor.event == Event::Stopped => leeches,
            Some(_) if leeches => !wants_pieces,
            // Who moves drives out their own past, which may have leeched.
            Some(at) => wants_pieces || !self.crowd.peer(at).is_at(visitor.endpoint),
            None => true,
        };
        let matters = may_change && self.has_slots();
        let leeched = matters && (leeches || self.is_leeched_by(visitor.user));
        let begins = matters && !leeched && wants_pieces;
        if begins && !slots.take(visitor.user, rules.download_slots) {
            return Err(Refusal::DownloadSlots(rules.download_slots));
        }
        let visit = self.take_in(known, visitor, rules, rng);
        let goes_on = visit.is_in_swarm() && wants_pieces;
        if (leeched || begins) && !goes_on && !self.is_leeched_by(visitor.user) {
            slots.give_back(visitor.user);
        }
        Ok(visit)
    }

    fn take_in(
        &mut self,
        known: Option<usize>,
        visitor: &Visitor,
        rules: Rules,
        rng: &mut SmallRng,
    ) -> Visit {
        if visitor.event == Event::Stopped {
            if let Some(at) = known {
                self.crowd.remove(at);
            }
            return Visit {
                warning: None,
                has_news: true,
                position: None,
            };
        }

        // A client that moves to an address finds nobody there: who was, was its own past.
        let known = match known {
            Some(at)
                if !self.crowd.peer(at).is_at(visitor.endpoint) && self.remove_ghost(visitor) =>
            {
                self.crowd.find(visitor.user, visitor.peer_id)
            }
            known => known,
        };
        let Some(at) = known else {
            if !self.make_room(visitor, rules.max_clients) {
                let warning = Some(Warning::TooManyClients);
                return Visit {
                    warning,
                    has_news: true,
                    position: None,
                };
            }
            let mut peer = Peer::newcomer(visitor.user, visitor.peer_id, visitor.role);
            peer.as_mut().reports(visitor.counters);
            peer.as_mut()
                .seen_at(visitor.endpoint, visitor.hash_tag, visitor.now);
            let position = Some(self.crowd.insert(peer, rng));
            return Visit {
                warning: None,
                has_news: true,
                position,
            };
        };

        let mut peer = self.crowd.peer_mut(at);
        let role = peer.seat.role();
        // A download finishes once: a seeder that says so again is a regular visitor.
        let is_news = match visitor.event {
            Event::Started => true,
            Event::Completed => role != visitor.role,
            _ => false,
        };
        let too_soon = !is_news && peer.as_ref().is_early(visitor, rules.min_interval_secs);
        let moved = !peer.as_ref().is_at(visitor.endpoint);
        let has_news = peer.reports(visitor.counters)
            || moved
            || role != visitor.role
            || visitor.event != Event::None;
        if too_soon {
            // The time stays: a client that asks every ten minutes gets peers every twenty, and not never.
            peer.move_to(visitor.endpoint);
        } else {
            peer.seen_at(visitor.endpoint, visitor.hash_tag, visitor.now);
        }
        Visit {
            has_news,
            warning: too_soon.then_some(Warning::TooSoon),
            position: Some(self.crowd.set_role(at, visitor.role, rng)),
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
        if role.wants_pieces() {
            // Half of each, and what one part lacks the other makes up.
            let leechers = self.crowd.leechers().len();
            let half = list
                .room()
                .div_ceil(2)
                .max(list.room().saturating_sub(leechers));
            let rest = list.room().saturating_sub(half);
            self.run(self.crowd.givers(), rest, visit.position, list, rng);
        }
        self.run(self.crowd.leechers(), 0, visit.position, list, rng);
    }

    /// Neighbours from a random place on, round the corner if need be, until only `leave` places are free or enough were
    /// [looked at](PeerList::looks).
    fn run(
        &self,
        part: Range<usize>,
        leave: usize,
        own: Option<usize>,
        list: &mut PeerList,
        rng: &mut SmallRng,
    ) {
        let wanted = list.room().saturating_sub(leave);
        if part.is_empty() || wanted == 0 {
            return;
        }
        let start = if part.len() > wanted {
            rng.random_range(part.clone())
        } else {
            part.start
        };
        let mut looks = list.looks(wanted);
        for mut run in [start..part.end, part.start..start] {
            run.end = run.end.min(run.start.saturating_add(looks));
            looks -= run.len();
            while !run.is_empty() && list.room() > leave {
                let neighbours = self.crowd.neighbours(run.clone());
                let own = own.and_then(|own| own.checked_sub(run.start));
                match own.and_then(|own| neighbours.around(own)) {
                    Some((before, after)) => {
                        list.extend(before, leave);
                        list.extend(after, leave);
                    }
                    None => list.extend(neighbours, leave),
                }
                run.start += neighbours.len();
            }
        }
    }

    /// Brings back a session that the database knows. One that has announced since isn't touched, and of more than
    /// `max_clients` of a member's the latest stay, as they would have if they had announced in turn.
    pub(crate) fn restore(
        &mut self,
        peer: Peer,
        max_clients: usize,
        slots: &Slots,
        rng: &mut SmallRng,
    ) -> bool {
        let user = peer.seat.user;
        self.with_slots(user, slots, |torrent| {
            torrent.bring_back(peer, max_clients, rng)
        })
    }

    fn bring_back(&mut self, peer: Peer, max_clients: usize, rng: &mut SmallRng) -> bool {
        if self.crowd.find(peer.seat.user, peer.rest.peer_id).is_some() {
            return false;
        }
        let own = self.clients_of(peer.seat.user);
        if own.clients >= max_clients {
            match own
                .oldest
                .filter(|(seen, _)| *seen < peer.as_ref().last_seen())
            {
                Some((_, at)) => self.crowd.remove(at),
                None => return false,
            }
        }
        self.crowd.insert(peer, rng);
        true
    }

    /// Does what a journalled announce did: the peer came, stayed or went. Who was in which other's place isn't
    /// remembered, so of more than `max_clients` of a member's the latest stay.
    pub(crate) fn replay(
        &mut self,
        record: &Record,
        max_clients: usize,
        slots: &Slots,
        rng: &mut SmallRng,
    ) {
        self.with_slots(record.session.user, slots, |torrent| {
            torrent.do_again(record, max_clients, rng);
        });
    }

    fn do_again(&mut self, record: &Record, max_clients: usize, rng: &mut SmallRng) {
        let SessionKey { user, peer_id, .. } = record.session;
        match self.crowd.find(user, peer_id) {
            Some(at) if !record.in_swarm => self.crowd.remove(at),
            Some(at) => {
                self.crowd.peer_mut(at).replayed(record);
                self.crowd.set_role(at, record.role, rng);
            }
            None if record.in_swarm => {
                let mut peer = Peer::newcomer(user, peer_id, record.role);
                peer.as_mut().replayed(record);
                self.bring_back(peer, max_clients, rng);
            }
            None => {}
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
        slots: &Slots,
    ) -> Option<usize> {
        let from = from.min(self.crowd.len());
        let to = from.saturating_sub(budget);
        // Downwards: a removal fills its place from above, where all have been looked at.
        for at in (to..from).rev() {
            let mut peer = self.crowd.peer_mut(at);
            let user = peer.seat.user;
            if !peer.keep_since(oldest) || !stays(user) {
                self.with_slots(user, slots, |torrent| torrent.crowd.remove(at));
            }
        }
        if to > 0 {
            return Some(to);
        }
        self.crowd.shrink();
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
                self.crowd.remove(at);
                true
            }
            None => false,
        }
    }

    /// Removes the member's other session at the same address and port, which can't be there any more.
    fn remove_ghost(&mut self, visitor: &Visitor) -> bool {
        let ghost = self.crowd.sessions_of(visitor.user).find(|&at| {
            let peer = self.crowd.peer(at);
            peer.rest.peer_id != visitor.peer_id && peer.is_at(visitor.endpoint)
        });
        if let Some(at) = ghost {
            self.crowd.remove(at);
        }
        ghost.is_some()
    }

    /// Whether its downloads count. Those of a torrent that was taken down don't: its clients are refused, and only
    /// fall silent.
    fn has_slots(&self) -> bool {
        self.id.is_some() && self.status != TorrentStatus::Closed
    }

    fn is_leeched_by(&self, user: UserId) -> bool {
        let leechers = self.crowd.leechers();
        user.is_member()
            && self
                .crowd
                .sessions_of(user)
                .any(|at| leechers.contains(&at))
    }

    /// The members who leech it, each once.
    fn downloaders(&self) -> impl Iterator<Item = UserId> {
        let leechers = self.crowd.leechers();
        leechers.clone().filter_map(move |at| {
            let user = self.crowd.peer(at).seat.user;
            let own = self.crowd.sessions_of(user);
            let first = own.filter(|at| leechers.contains(at)).min();
            (first == Some(at) && user.is_member()).then_some(user)
        })
    }

    /// Keeps the slots in step with a change to a member's sessions that isn't refused.
    fn with_slots<T>(
        &mut self,
        user: UserId,
        slots: &Slots,
        change: impl FnOnce(&mut Self) -> T,
    ) -> T {
        if !self.has_slots() {
            return change(self);
        }
        let leeched = self.is_leeched_by(user);
        let result = change(self);
        match (leeched, self.is_leeched_by(user)) {
            (false, true) => drop(slots.take(user, NO_LIMIT)),
            (true, false) => slots.give_back(user),
            _ => {}
        }
        result
    }

    fn clients_of(&self, user: UserId) -> Clients {
        let mut found = Clients::default();
        for at in self.crowd.sessions_of(user) {
            let candidate = (self.crowd.peer(at).last_seen(), at);
            found.clients += 1;
            found.oldest = Some(
                found
                    .oldest
                    .map_or(candidate, |oldest| oldest.min(candidate)),
            );
        }
        found
    }
}

/// Of slots, for what isn't refused: who leeches goes on, restarts and lower limits included.
const NO_LIMIT: u32 = 0;

/// A member's sessions in one swarm.
#[derive(Default)]
struct Clients {
    clients: usize,
    /// The one silent for longest, and where it stands.
    oldest: Option<(UnixTime, usize)>,
}

#[cfg(test)]
impl Torrent {
    /// Everybody who wants pieces, a member with two clients twice.
    pub(super) fn leechers(&self) -> impl Iterator<Item = UserId> {
        let leechers = self.crowd.leechers();
        leechers.map(|at| self.crowd.peer(at).seat.user)
    }
}

#[cfg(test)]
mod tests;
