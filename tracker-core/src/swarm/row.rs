//! Peers in a row, by position, in blocks: a large swarm grows block by block and is never copied as a whole, and each
//! block that it doesn't need any more is given back.

use std::mem::swap;
use std::ops::{Index, IndexMut, Range};

use super::peer::Peer;
use crate::room;

/// 6 kB: the allocator packs blocks of up to 10 kB close together, and a swarm of some hundred peers wastes little.
pub(super) const BLOCK: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Row {
    /// Grows with the swarm.
    first: Vec<Peer>,
    /// Few swarms have any: boxed.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    /// All are full but the last, and none is empty.
    blocks: Vec<Vec<Peer>>,
    /// Peers in them.
    len: usize,
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.more.as_ref().map_or(0, |more| more.len)
    }

    /// The first, up to a block of them.
    pub(super) fn first(&self) -> &[Peer] {
        &self.first
    }

    /// Those at these positions, as far as they are in one block; at least the first.
    pub(super) fn neighbours(&self, at: Range<usize>) -> &[Peer] {
        let Range { start, end } = at;
        match start.checked_sub(BLOCK) {
            None => &self.first[start..end.min(BLOCK)],
            Some(after) => {
                let to = (end - start + after % BLOCK).min(BLOCK);
                &self.more()[after / BLOCK][after % BLOCK..to]
            }
        }
    }

    pub(super) fn push(&mut self, peer: Peer) {
        match self.first.len() {
            BLOCK => self.more.get_or_insert_default().push(peer),
            _ => room::push(&mut self.first, peer),
        }
    }

    /// Removes the last.
    pub(super) fn pop(&mut self) {
        match &mut self.more {
            None => drop(self.first.pop()),
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
        room::fit(&mut self.first, expected.min(BLOCK));
    }

    fn more(&self) -> &[Vec<Peer>] {
        self.more.as_ref().map_or(&[], |more| &more.blocks)
    }

    fn more_mut(&mut self) -> &mut [Vec<Peer>] {
        self.more.as_mut().map_or(&mut [], |more| &mut more.blocks)
    }
}

impl More {
    fn push(&mut self, peer: Peer) {
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(last) = self.blocks.last_mut() {
            last.push(peer);
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
    fn swap(&mut self, first: &mut [Peer], a: usize, b: usize) {
        let (block_a, block_b) = (a / BLOCK, b / BLOCK - 1);
        if block_a == 0 {
            return swap(&mut first[a], &mut self.blocks[block_b][b % BLOCK]);
        }
        let (before, from) = self.blocks.split_at_mut(block_b);
        match before.get_mut(block_a - 1) {
            Some(block) => swap(&mut block[a % BLOCK], &mut from[0][b % BLOCK]),
            None => from[0].swap(a % BLOCK, b % BLOCK),
        }
    }
}

impl Index<usize> for Row {
    type Output = Peer;

    fn index(&self, at: usize) -> &Peer {
        match at.checked_sub(BLOCK) {
            None => &self.first[at],
            Some(at) => &self.more()[at / BLOCK][at % BLOCK],
        }
    }
}

impl IndexMut<usize> for Row {
    fn index_mut(&mut self, at: usize) -> &mut Peer {
        match at.checked_sub(BLOCK) {
            None => &mut self.first[at],
            Some(at) => &mut self.more_mut()[at / BLOCK][at % BLOCK],
        }
    }
}

#[cfg(test)]
impl Row {
    pub(super) fn heap_bytes(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |more| {
            size_of::<More>() + more.blocks.capacity() * size_of::<Vec<Peer>>()
        });
        let blocks = self.more().iter().chain([&self.first]);
        more + blocks
            .map(|block| block.capacity() * size_of::<Peer>())
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
        (0..row.len()).map(|at| row[at].user.0 as usize).collect()
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
                        row[a].user = UserId(model[a] as u32);
                    }
                }
                row.fit(model.len());
                prop_assert_eq!(users(&row), &model[..]);
                let (mut walked, mut at) = (Vec::new(), 0);
                while at < row.len() {
                    let neighbours = row.neighbours(at..row.len());
                    walked.extend(neighbours.iter().map(|peer| peer.user.0 as usize));
                    at += neighbours.len();
                }
                prop_assert_eq!(walked, &model[..]);
                prop_assert_eq!(row.neighbours(0..model.len().min(3)).len(), model.len().min(3));
            }
        }
    }
}
