//! Deadlines of fibers, nearest first: a binary heap with a place for each fiber, made at init.
//!
//! A fiber waits for one moment at a time, so that the heap can never be full, and knows where in the heap
//! a fiber stands, so that a deadline that was not needed leaves at once. Deadlines that are equal fire
//! in the order in which they were set.
//!
//! Takes numbers and gives numbers: does not read the clock, and knows no fiber.

/// Not in the heap.
const ABSENT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at_ns: u64,
    order: u64,
    fiber: u32,
}

pub(crate) struct Heap {
    entries: Vec<Entry>,
    places: Box<[u32]>,
    set: u64,
}

impl Heap {
    pub(crate) fn new(fibers_max: usize) -> Self {
        Self {
            entries: Vec::with_capacity(fibers_max),
            places: vec![ABSENT; fibers_max].into_boxed_slice(),
            set: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The nearest deadline.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.at_ns)
    }

    /// Sets a fiber's deadline, in place of the one that it had.
    pub(crate) fn set(&mut self, fiber: u32, at_ns: u64) {
        self.remove(fiber);
        self.set += 1;
        let place = self.entries.len();
        self.entries.push(Entry {
            at_ns,
            order: self.set,
            fiber,
        });
        self.rise(place);
    }

    /// Removes a fiber's deadline, if it has one.
    pub(crate) fn remove(&mut self, fiber: u32) {
        let place = self.places[fiber as usize];
        if place == ABSENT {
            return;
        }
        self.places[fiber as usize] = ABSENT;
        let place = place as usize;
        self.entries.swap_remove(place);
        if place < self.entries.len() {
            self.rise(place);
            self.sink(place);
        }
    }

    /// Takes out one fiber whose deadline is not after `now_ns`.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<u32> {
        let first = self.entries.first()?;
        if first.at_ns > now_ns {
            return None;
        }
        let fiber = first.fiber;
        self.remove(fiber);
        Some(fiber)
    }

    /// Moves the entry at `place` up to where it belongs, and notes where that is.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.entries[parent] <= self.entries[place] {
                break;
            }
            self.entries.swap(parent, place);
            self.note(place);
            place = parent;
        }
        self.note(place);
    }

    /// Moves the entry at `place` down to where it belongs, and notes where that is.
    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(nearest) =
                (left..(left + 2).min(self.entries.len())).min_by_key(|child| self.entries[*child])
            else {
                break;
            };
            if self.entries[place] <= self.entries[nearest] {
                break;
            }
            self.entries.swap(place, nearest);
            self.note(place);
            place = nearest;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        let fiber = self.entries[place].fiber;
        // As many places as fibers, whose indices are `u32`.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let place = place as u32;
        self.places[fiber as usize] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn deadlines_come_due_as_in_a_sorted_list(
            steps in proptest::collection::vec((0_u32..16, 0_u64..64, any::<bool>()), 0..200),
        ) {
            let mut heap = Heap::new(16);
            let mut model: Vec<(u64, usize, u32)> = Vec::new();
            for (step, (fiber, at, add)) in steps.into_iter().enumerate() {
                model.retain(|(_, _, other)| *other != fiber);
                if add {
                    heap.set(fiber, at);
                    model.push((at, step, fiber));
                } else {
                    heap.remove(fiber);
                }
                model.sort_unstable();
                prop_assert_eq!(heap.next(), model.first().map(|first| first.0));
                prop_assert_eq!(heap.len(), model.len());
            }
            for now_ns in 0..64 {
                while let Some(fiber) = heap.pop_due(now_ns) {
                    let (at, _, expected) = model.remove(0);
                    prop_assert_eq!(fiber, expected);
                    prop_assert!(at <= now_ns);
                }
                prop_assert!(model.first().is_none_or(|first| first.0 > now_ns));
            }
        }
    }

    #[test]
    fn no_memory_is_taken_after_it_was_made() {
        let mut heap = Heap::new(4);
        let room = heap.entries.capacity();
        for round in 0..100 {
            for fiber in 0..4 {
                heap.set(fiber, round);
            }
        }
        assert_eq!((heap.len(), heap.entries.capacity()), (4, room));
    }
}
