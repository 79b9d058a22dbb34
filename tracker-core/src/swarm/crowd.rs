//! The peers of one swarm, in an order that makes any run of neighbours a random sample.
//!
//! They stand in one [row](super::row): first those who want nothing (seeders and partial seeds), then the leechers. Each part is
//! kept in random order: a newcomer changes places with a random peer of its part, which is how a shuffle is dealt one
//! card at a time. A small crowd is looked through for a session, as a reply is about to read it anyway; a large one has
//! an index by member.

use std::ops::Range;

use hashbrown::HashTable;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::peer::{Peer, PeerMut, PeerRef};
use super::row::{BLOCK, Neighbours, Row};
use crate::ids::{PeerId, UserId};
use crate::record::Role;

/// So many lie within some twenty lines of the processor's cache, most of which the reply reads next; more are found by
/// an index.
const SCANNED_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Crowd {
    peers: Row,
    /// How many of `peers`, from the front, want nothing.
    givers: u32,
    /// How many of the givers are partial seeds.
    partials: u32,
    /// Positions by member; boxed, as few swarms have one.
    index: Option<Box<HashTable<u32>>>,
}

const _: () = assert!(size_of::<Crowd>() == 72);
const _: () = assert!(SCANNED_MAX <= BLOCK);

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Where those stand who want nothing.
    pub(super) fn givers(&self) -> Range<usize> {
        0..self.givers as usize
    }

    /// Where those stand who want pieces.
    pub(super) fn leechers(&self) -> Range<usize> {
        self.givers as usize..self.peers.len()
    }

    /// How many of the givers haven't everything.
    pub(super) fn partials(&self) -> u32 {
        self.partials
    }

    /// Those at these positions, as far as they lie side by side in memory; at least the first.
    pub(super) fn neighbours(&self, at: Range<usize>) -> Neighbours<'_> {
        self.peers.neighbours(at)
    }

    pub(super) fn peer(&self, at: usize) -> PeerRef<'_> {
        self.peers.peer(at)
    }

    /// Not for its role: see [`Crowd::set_role`].
    pub(super) fn peer_mut(&mut self, at: usize) -> PeerMut<'_> {
        self.peers.peer_mut(at)
    }

    /// Where a member's sessions stand.
    pub(super) fn sessions_of(&self, user: UserId) -> impl Iterator<Item = usize> {
        let indexed = self.index.iter().flat_map(move |index| {
            let positions = index.iter_hash(hash(user)).map(|&at| at as usize);
            positions.filter(move |&at| self.peers.seat(at).user == user)
        });
        let scanned = match self.index {
            Some(_) => &[],
            None => self.peers.first().seats,
        };
        let scanned = scanned.iter().enumerate();
        let scanned = scanned.filter(move |(_, seat)| seat.user == user);
        indexed.chain(scanned.map(|(at, _)| at))
    }

    /// Where a session stands.
    pub(super) fn find(&self, user: UserId, peer_id: PeerId) -> Option<usize> {
        let is_it = |at: usize| {
            let peer = self.peers.peer(at);
            peer.seat.user == user && peer.rest.peer_id == peer_id
        };
        match &self.index {
            Some(index) => index
                .find(hash(user), |&at| is_it(at as usize))
                .map(|&at| at as usize),
            None => {
                let mut seats = self.peers.first().seats.iter().enumerate();
                seats
                    .find(|(at, seat)| seat.user == user && is_it(*at))
                    .map(|(at, _)| at)
            }
        }
    }

    /// Takes a peer in, at a random place of its part; returns where.
    pub(super) fn insert(&mut self, peer: Peer, rng: &mut SmallRng) -> usize {
        let (user, role) = (peer.seat.user, peer.seat.role());
        let at = self.peers.len();
        self.peers.push(peer);
        let hash_at = |at: u32| hash(self.peers.seat(at as usize).user);
        match &mut self.index {
            Some(index) => {
                index.insert_unique(hash(user), at as u32, |&at| hash_at(at));
            }
            None if at < SCANNED_MAX => {}
            None => {
                let mut index = HashTable::with_capacity(at + 1);
                for at in 0..=at as u32 {
                    index.insert_unique(hash_at(at), at, |&at| hash_at(at));
                }
                self.index = Some(Box::new(index));
            }
        }
        if role.wants_pieces() {
            self.shuffle_in(at, rng)
        } else {
            self.move_to_givers(at, rng)
        }
    }

    /// Its place is filled from behind.
    pub(super) fn remove(&mut self, mut at: usize) {
        if at < self.givers as usize {
            at = self.move_to_leechers(at);
        }
        let last = self.peers.len() - 1;
        self.swap(at, last);
        let user = self.peers.seat(last).user;
        if let Some(index) = &mut self.index
            && let Ok(entry) = index.find_entry(hash(user), |&at| at as usize == last)
        {
            entry.remove();
        }
        self.peers.pop();
    }

    /// Moves it to its part; returns where it stands then.
    pub(super) fn set_role(&mut self, at: usize, role: Role, rng: &mut SmallRng) -> usize {
        let before = self.peers.seat(at).role();
        if before == role {
            return at;
        }
        let at = if before.wants_pieces() {
            at
        } else {
            self.move_to_leechers(at)
        };
        self.peers.seat_mut(at).set_role(role);
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
        self.partials += u32::from(self.peers.seat(border).role() == Role::Partial);
        let place = rng.random_range(0..=border);
        self.swap(border, place);
        place
    }

    /// Moves the border back over a giver; it is the first of the leechers then.
    fn move_to_leechers(&mut self, at: usize) -> usize {
        self.partials -= u32::from(self.peers.seat(at).role() == Role::Partial);
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
        if let Some(index) = &mut self.index {
            /// No position: a swarm has at most as many peers as there are sessions in memory.
            const ASIDE: usize = u32::MAX as usize;
            let (user_a, user_b) = (self.peers.seat(a).user, self.peers.seat(b).user);
            reindex(index, user_a, a, ASIDE);
            reindex(index, user_b, b, a);
            reindex(index, user_a, ASIDE, b);
        }
        self.peers.swap(a, b);
    }

    /// Gives back memory that a larger swarm needed, but for a little: who went may come again.
    pub(super) fn shrink(&mut self) {
        let expected = self.len() + self.len() / 4;
        self.peers.fit(expected);
        if expected < SCANNED_MAX {
            self.index = None;
        } else if let Some(index) = &mut self.index {
            index.shrink_to(expected, |&at| hash(self.peers.seat(at as usize).user));
        }
    }
}

fn reindex(index: &mut HashTable<u32>, user: UserId, from: usize, to: usize) {
    if let Some(at) = index.find_mut(hash(user), |&at| at as usize == from) {
        *at = to as u32;
    }
}

/// Member ids come one after the other; a multiplication spreads them over the table.
fn hash(user: UserId) -> u64 {
    u64::from(user.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
impl Crowd {
    pub(super) fn iter(&self) -> impl Iterator<Item = PeerRef<'_>> {
        (0..self.len()).map(|at| self.peer(at))
    }

    /// What it has allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        let index = self.index.as_ref();
        let index = index.map(|index| size_of_val(&**index) + index.allocation_size());
        self.peers.heap_bytes() + index.unwrap_or_default()
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// What must hold after every step.
    pub(super) fn check(&self) {
        let wants_pieces = |at: usize| self.peers.seat(at).role().wants_pieces();
        assert!(!self.givers().any(wants_pieces));
        assert!(self.leechers().all(wants_pieces));
        let partials = self.iter().filter(|peer| peer.seat.role() == Role::Partial);
        assert_eq!(partials.count(), self.partials as usize);
        if let Some(index) = &self.index {
            assert_eq!(index.len(), self.peers.len());
        } else {
            assert!(self.peers.len() <= SCANNED_MAX);
        }
        for (at, peer) in self.iter().enumerate() {
            assert_eq!(self.find(peer.seat.user, peer.rest.peer_id), Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn peer(user: u32, role: Role) -> Peer {
        Peer::newcomer(UserId(user), PeerId([1; 20]), role)
    }

    fn crowd(peers: u32) -> Crowd {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut crowd = Crowd::default();
        for user in 0..peers {
            crowd.insert(peer(user, Role::Leecher), &mut rng);
        }
        crowd
    }

    #[test]
    fn peer_takes_about_its_own_size_in_swarms_of_every_size() {
        let bytes = |peers: u32| crowd(peers).heap_bytes() / peers as usize;
        assert_eq!(bytes(1), 48);
        assert_eq!(bytes(10), 48);
        assert!(bytes(25) <= 60, "{}", bytes(25));
        assert!(bytes(500) <= 70, "{}", bytes(500));
        assert!(bytes(100_000) <= 60, "{}", bytes(100_000));
    }

    #[test]
    fn memory_is_given_back_as_peers_go() {
        let mut rng = SmallRng::seed_from_u64(1);
        for (before, after) in [(10, 3), (50, 10), (1000, 100), (20, 0), (1000, 0)] {
            let mut crowd = crowd(before);
            while crowd.len() > after {
                crowd.remove(rng.random_range(0..crowd.len()));
            }
            crowd.shrink();
            crowd.check();
            assert_eq!(crowd.is_indexed(), after > SCANNED_MAX);
            let most = after * 48 * 3 / 2 + usize::from(crowd.is_indexed()) * after * 16;
            let held = crowd.heap_bytes();
            assert!(held <= most, "{before} to {after}: {held} bytes");
        }
    }

    #[test]
    fn index_comes_when_a_crowd_is_too_large_to_look_through() {
        assert!(!crowd(SCANNED_MAX as u32).is_indexed());
        assert!(crowd(SCANNED_MAX as u32 + 1).is_indexed());
    }

    proptest! {
        /// Whether it is looked through or has an index: what it finds is what is there. Members have two sessions.
        #[test]
        fn sessions_are_found_on_both_sides_of_the_border(
            steps in proptest::collection::vec((0u32..40, 1u8..3, 0u8..9), 1..400)
        ) {
            let mut rng = SmallRng::seed_from_u64(1);
            let mut crowd = Crowd::default();
            let mut model = std::collections::BTreeSet::new();
            for (user, client, what) in steps {
                let (id, key) = (PeerId([client; 20]), (user, client));
                let at = crowd.find(UserId(user), id);
                prop_assert_eq!(at.is_some(), model.contains(&key));
                let role = [Role::Leecher, Role::Seeder, Role::Partial][usize::from(what) % 3];
                match at {
                    Some(at) if what == 0 => {
                        crowd.remove(at);
                        model.remove(&key);
                    }
                    Some(at) => {
                        crowd.set_role(at, role, &mut rng);
                    }
                    None => {
                        crowd.insert(Peer::newcomer(UserId(user), id, role), &mut rng);
                        model.insert(key);
                    }
                }
                if what == 1 {
                    crowd.shrink();
                }
                crowd.check();
                let sessions = model.range((user, 0)..=(user, 9)).count();
                prop_assert_eq!(crowd.sessions_of(UserId(user)).count(), sessions);
                prop_assert_eq!(crowd.len(), model.len());
            }
        }
    }
}
