//! Vectors that grow in small steps, for memory that is counted in bytes a peer.
//!
//! The allocator (mimalloc) has blocks of four sizes between a power of two and the next. Whoever doubles wastes a
//! quarter of the memory on average; whoever takes the next size wastes a tenth, and copies each item some four times more.

/// How many items fit the smallest of the allocator's blocks that has room for so many.
pub fn room_for<T>(items: usize) -> usize {
    let bytes = items * size_of::<T>();
    let step = (bytes.next_power_of_two() / 8).max(16);
    bytes.next_multiple_of(step) / size_of::<T>()
}

/// Adds an item, and takes the next size of block if the vector is full.
pub fn push<T>(items: &mut Vec<T>, item: T) {
    let len = items.len();
    if len == items.capacity() {
        items.reserve_exact(room_for::<T>(len + 1) - len);
    }
    items.push(item);
}

/// Gives back room for more than `expected` items, and all of it if there are none.
pub fn fit<T>(items: &mut Vec<T>, expected: usize) {
    let room = room_for::<T>(expected);
    if items.capacity() > room {
        // Not `shrink_to`: the allocator leaves items in their block as long as they use half of it.
        let mut fitting = Vec::with_capacity(room);
        fitting.append(items);
        *items = fitting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_the_allocators_blocks() {
        let rooms = [0, 1, 2, 3, 6, 7, 10, 11, 256].map(room_for::<[u8; 48]>);
        assert_eq!(rooms, [0, 1, 2, 3, 6, 8, 10, 13, 256]);
        assert_eq!([1, 30, 61].map(room_for::<[u8; 18]>), [1, 35, 71]);
    }

    #[test]
    fn vector_is_never_more_than_a_third_larger_than_it_has_to_be_and_nothing_when_empty() {
        let mut items = Vec::new();
        for n in 1..5000 {
            push(&mut items, [n; 6]);
            assert!(items.capacity() * 3 <= items.len() * 4 + 3, "{n} items");
        }
        items.truncate(10);
        fit(&mut items, 12);
        assert_eq!(
            (items.len(), items.capacity()),
            (10, room_for::<[i32; 6]>(12))
        );
        assert_eq!(items[9], [10; 6]);
        items.clear();
        fit(&mut items, 0);
        assert_eq!(items.capacity(), 0);
    }
}
