//! The peers of one swarm, in an order that makes any run of neighbours a random sample.
//!
//! They stand in one array: first those who want nothing (seeders and partial seeds), then the leechers. Each part is
//! kept in random order: a newcomer changes places with a random peer of its part, which is how a shuffle is dealt one
//! card at a time. An index by member finds sessions without looking at others.

use std::ops::{Index, IndexMut, Range};

use hashbrown::HashTable;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::peer::Peer;
use crate::ids::{PeerId, UserId};
use crate::record::Role;

#[derive(Debug, Default)]
pub(super) struct Crowd {
    peers: Vec<Peer>,
    /// How many of `peers`, from the front, want nothing.
    givers: u32,
    /// How many of the givers are partial seeds.
    partials: u32,
    /// Positions by member.
    index: HashTable<u32>,
}

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

    /// Where a member's sessions stand.
    pub(super) fn sessions_of(&self, user: UserId) -> impl Iterator<Item = usize> {
        let positions = self.index.iter_hash(hash(user)).map(|&at| at as usize);
        positions.filter(move |&at| self.peers[at].user == user)
    }

    /// Where a session stands.
    pub(super) fn find(&self, user: UserId, peer_id: PeerId) -> Option<usize> {
        self.index
            .find(hash(user), |&at| self.peers[at as usize].is(user, peer_id))
            .map(|&at| at as usize)
    }

    /// Takes a peer in, at a random place of its part; returns where.
    pub(super) fn insert(&mut self, peer: Peer, rng: &mut SmallRng) -> usize {
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

    /// Its place is filled from behind.
    pub(super) fn remove(&mut self, mut at: usize) {
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

    /// Moves it to its part; returns where it stands then.
    pub(super) fn set_role(&mut self, at: usize, role: Role, rng: &mut SmallRng) -> usize {
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

    /// Gives back memory that a larger swarm needed.
    pub(super) fn shrink(&mut self) {
        if self.peers.capacity() > 16 && self.peers.capacity() / 4 > self.peers.len() {
            self.peers.shrink_to(self.peers.len() * 2);
            let peers = &self.peers;
            self.index
                .shrink_to(peers.len() * 2, |&at| hash(peers[at as usize].user));
        }
    }
}

/// By position.
impl Index<usize> for Crowd {
    type Output = Peer;

    fn index(&self, at: usize) -> &Peer {
        &self.peers[at]
    }
}

/// Not for its role: see [`Crowd::set_role`].
impl IndexMut<usize> for Crowd {
    fn index_mut(&mut self, at: usize) -> &mut Peer {
        &mut self.peers[at]
    }
}

/// Member ids come one after the other; a multiplication spreads them over the table.
fn hash(user: UserId) -> u64 {
    u64::from(user.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
impl Crowd {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    pub(super) fn capacity(&self) -> usize {
        self.peers.capacity()
    }

    /// What must hold after every step.
    pub(super) fn check(&self) {
        let wants_pieces = |at: usize| self.peers[at].role.wants_pieces();
        assert!(!self.givers().any(wants_pieces));
        assert!(self.leechers().all(wants_pieces));
        let partials = self.iter().filter(|peer| peer.role == Role::Partial);
        assert_eq!(partials.count(), self.partials as usize);
        assert_eq!(self.index.len(), self.peers.len());
        for (at, peer) in self.iter().enumerate() {
            assert_eq!(self.find(peer.user, peer.peer_id), Some(at));
        }
    }
}
