//! Peers in a row, by position, in blocks: a large swarm grows block by block and is never copied as a whole, and each
//! block that it doesn't need any more is given back.

use std::mem::swap;
use std::ops::Range;

use super::peer::{Peer, PeerMut, PeerRef, Rest, Seat};
use crate::room;

/// 2 and 4 kB: the allocator packs blocks of up to 10 kB close together, and a swarm of some hundred peers wastes little.
pub(super) const BLOCK: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Row {
    /// Grows with the swarm.
    first: Block,
    /// Few swarms have any: boxed.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    /// All are full but the last, and none is empty.
    blocks: Vec<Block>,
    /// Peers in them.
    len: usize,
}

/// Two vectors of the same length.
#[derive(Debug, Default)]
struct Block {
    seats: Vec<Seat>,
    rests: Vec<Rest>,
}

/// Peers that lie side by side in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbours<'a> {
    pub(super) seats: &'a [Seat],
    rests: &'a [Rest],
}

impl<'a> Neighbours<'a> {
    pub(super) fn len(self) -> usize {
        self.seats.len()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = PeerRef<'a>> {
        let peers = self.seats.iter().zip(self.rests);
        peers.map(|(seat, rest)| PeerRef { seat, rest })
    }

    /// Those before a place, and those behind it; `None` when it isn't among them.
    pub(super) fn around(self, place: usize) -> Option<(Self, Self)> {
        (place < self.len()).then(|| (self.part(0..place), self.part(place + 1..self.len())))
    }

    pub(super) fn part(self, range: Range<usize>) -> Self {
        Self {
            seats: &self.seats[range.clone()],
            rests: &self.rests[range],
        }
    }
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.first.seats.len() + self.more.as_ref().map_or(0, |more| more.len)
    }

    /// The first, up to a block of them.
    pub(super) fn first(&self) -> Neighbours<'_> {
        self.first.all()
    }

    /// Those at these positions, as far as they are in one block; at least the first.
    pub(super) fn neighbours(&self, at: Range<usize>) -> Neighbours<'_> {
        let Range { start, end } = at;
        match start.checked_sub(BLOCK) {
            None => self.first.all().part(start..end.min(BLOCK)),
            Some(after) => {
                let to = (end - start + after % BLOCK).min(BLOCK);
                self.more()[after / BLOCK].all().part(after % BLOCK..to)
            }
        }
    }

    pub(super) fn seat(&self, at: usize) -> &Seat {
        let (block, place) = self.place(at);
        &block.seats[place]
    }

    pub(super) fn seat_mut(&mut self, at: usize) -> &mut Seat {
        let (block, place) = self.place_mut(at);
        &mut block.seats[place]
    }

    pub(super) fn peer(&self, at: usize) -> PeerRef<'_> {
        let (block, place) = self.place(at);
        PeerRef {
            seat: &block.seats[place],
            rest: &block.rests[place],
        }
    }

    pub(super) fn peer_mut(&mut self, at: usize) -> PeerMut<'_> {
        let (block, place) = self.place_mut(at);
        PeerMut {
            seat: &mut block.seats[place],
            rest: &mut block.rests[place],
        }
    }

    pub(super) fn push(&mut self, peer: Peer) {
        match self.first.seats.len() {
            BLOCK => self.more.get_or_insert_default().push(peer),
            _ => {
                room::push(&mut self.first.seats, peer.seat);
                room::push(&mut self.first.rests, peer.rest);
            }
        }
    }

    /// Removes the last.
    pub(super) fn pop(&mut self) {
        match &mut self.more {
            None => self.first.pop(),
            Some(more) => {
                more.pop();
                self.more.take_if(|more| more.len == 0);
            }
        }
    }

    pub(super) fn swap(&mut self, a: usize, b: usize) {
        let (a, b) = (a.min(b), a.max(b));
        match &mut self.more {
            Some(more) if b >= BLOCK => more.swap(&mut self.first, a, b),
            _ => self.first.swap(a, b),
        }
    }

    /// Gives back room for more than `expected` peers.
    pub(super) fn fit(&mut self, expected: usize) {
        room::fit(&mut self.first.seats, expected.min(BLOCK));
        room::fit(&mut self.first.rests, expected.min(BLOCK));
    }

    fn place(&self, at: usize) -> (&Block, usize) {
        match at.checked_sub(BLOCK) {
            None => (&self.first, at),
            Some(at) => (&self.more()[at / BLOCK], at % BLOCK),
        }
    }

    fn place_mut(&mut self, at: usize) -> (&mut Block, usize) {
        match at.checked_sub(BLOCK) {
            None => (&mut self.first, at),
            Some(at) => (&mut self.more_mut()[at / BLOCK], at % BLOCK),
        }
    }

    fn more(&self) -> &[Block] {
        self.more.as_ref().map_or(&[], |more| &more.blocks)
    }

    fn more_mut(&mut self) -> &mut [Block] {
        self.more.as_mut().map_or(&mut [], |more| &mut more.blocks)
    }
}

impl Block {
    fn all(&self) -> Neighbours<'_> {
        Neighbours {
            seats: &self.seats,
            rests: &self.rests,
        }
    }

    fn pop(&mut self) {
        self.seats.pop();
        self.rests.pop();
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.seats.swap(a, b);
        self.rests.swap(a, b);
    }

    fn swap_with(&mut self, place: usize, other: &mut Self, there: usize) {
        swap(&mut self.seats[place], &mut other.seats[there]);
        swap(&mut self.rests[place], &mut other.rests[there]);
    }
}

impl More {
    fn push(&mut self, peer: Peer) {
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Block {
                seats: Vec::with_capacity(BLOCK),
                rests: Vec::with_capacity(BLOCK),
            });
        }
        if let Some(last) = self.blocks.last_mut() {
            last.seats.push(peer.seat);
            last.rests.push(peer.rest);
            self.len += 1;
        }
    }

    fn pop(&mut self) {
        if let Some(last) = self.blocks.last_mut() {
            last.pop();
            self.len -= 1;
        }
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.pop();
        }
    }

    /// `b` is the later one, and not in the first block.
    fn swap(&mut self, first: &mut Block, a: usize, b: usize) {
        let (block_a, block_b) = (a / BLOCK, b / BLOCK - 1);
        if block_a == 0 {
            return first.swap_with(a, &mut self.blocks[block_b], b % BLOCK);
        }
        let (before, from) = self.blocks.split_at_mut(block_b);
        match before.get_mut(block_a - 1) {
            Some(block) => block.swap_with(a % BLOCK, &mut from[0], b % BLOCK),
            None => from[0].swap(a % BLOCK, b % BLOCK),
        }
    }
}

#[cfg(test)]
impl Row {
    pub(super) fn heap_bytes(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |more| {
            size_of::<More>() + more.blocks.capacity() * size_of::<Block>()
        });
        let blocks = self.more().iter().chain([&self.first]);
        more + blocks
            .map(|block| {
                block.seats.capacity() * size_of::<Seat>()
                    + block.rests.capacity() * size_of::<Rest>()
            })
            .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{PeerId, UserId};
    use crate::record::Role;

    fn peer(user: usize) -> Peer {
        Peer::newcomer(UserId(user as u32), PeerId([1; 20]), Role::Leecher)
    }

    fn users(row: &Row) -> Vec<usize> {
        (0..row.len())
            .map(|at| row.seat(at).user.0 as usize)
            .collect()
    }

    #[test]
    fn shrunken_row_keeps_its_peers_and_an_empty_one_holds_no_memory() {
        let mut row = Row::default();
        (0..1000).for_each(|user| row.push(peer(user)));
        (10..1000).for_each(|_| row.pop());
        row.fit(10);
        assert_eq!(users(&row), (0..10).collect::<Vec<_>>());
        assert_eq!(row.heap_bytes(), 10 * size_of::<Peer>());
        (0..10).for_each(|_| row.pop());
        row.fit(0);
        assert_eq!(row.heap_bytes(), 0);
    }

    proptest! {
        /// Against one vector, over the borders of blocks.
        #[test]
        fn row_is_a_vector(
            steps in proptest::collection::vec((0u8..4, 0usize..400, any::<[u16; 2]>()), 1..40)
        ) {
            let (mut row, mut model) = (Row::default(), Vec::new());
            for (what, many, [a, b]) in steps {
                match what {
                    0 | 1 => for _ in 0..many {
                        row.push(peer(model.len()));
                        model.push(model.len());
                    },
                    2 => for _ in 0..many.min(model.len()) {
                        row.pop();
                        model.pop();
                    },
                    _ if model.is_empty() => {}
                    _ => {
                        let (a, b) = (usize::from(a) % model.len(), usize::from(b) % model.len());
                        row.swap(a, b);
                        model.swap(a, b);
                        row.seat_mut(a).user = UserId(model[a] as u32);
                    }
                }
                row.fit(model.len());
                prop_assert_eq!(users(&row), &model[..]);
                let (mut walked, mut at) = (Vec::new(), 0);
                while at < row.len() {
                    let neighbours = row.neighbours(at..row.len());
                    walked.extend(neighbours.iter().map(|peer| peer.seat.user.0 as usize));
                    at += neighbours.len();
                }
                prop_assert_eq!(walked, &model[..]);
                prop_assert_eq!(row.neighbours(0..model.len().min(3)).len(), model.len().min(3));
            }
        }
    }
}
