//! The control blocks of a reactor: a fixed number, made at init.
//!
//! Owns which are free, and what a fiber is called; a free block costs nothing but its place. Does not
//! know when a fiber runs.

use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fiber::block::{Block, NIL, State};

/// Where the next reactor of this process starts counting fibers: a handle that outlives its reactor must not
/// fit a fiber of the next one.
static NEXT_RANGE: AtomicU64 = AtomicU64::new(0);
/// How many numbers a reactor takes at a time. There are sixteen million such ranges.
const RANGE: u64 = 1 << 40;

/// What reports alone read, kept away from what scheduling touches.
struct Cold {
    name: Cell<&'static str>,
    spawned_at: Cell<&'static Location<'static>>,
}

pub(crate) struct Arena {
    blocks: Box<[Block]>,
    cold: Box<[Cold]>,
    free: Cell<u32>,
    in_use: Cell<u32>,
    high_water: Cell<u32>,
    next_id: Cell<u64>,
}

impl Arena {
    /// `count` free blocks; `Config::check` keeps the count far below `u32::MAX`.
    #[track_caller]
    pub(crate) fn new(count: usize) -> Self {
        // One more: the loop's own.
        let blocks: Box<[Block]> = (0..=count).map(|_| Block::new()).collect();
        let arena = Self {
            blocks,
            cold: (0..=count)
                .map(|_| Cold {
                    name: Cell::new(""),
                    spawned_at: Cell::new(Location::caller()),
                })
                .collect(),
            free: Cell::new(NIL),
            in_use: Cell::new(0),
            high_water: Cell::new(0),
            next_id: Cell::new(take_range()),
        };
        arena.block(arena.loops_own()).suspend_bans.set(1);
        for index in (0..arena.count()).rev() {
            arena.block(index).next.set(arena.free.get());
            arena.free.set(index);
        }
        arena
    }

    #[inline]
    pub(crate) fn block(&self, index: u32) -> &Block {
        &self.blocks[index as usize]
    }

    /// The block of a fiber that a handle names, unless that fiber is gone for good.
    #[inline]
    pub(crate) fn find(&self, index: u32, id: u64) -> Option<&Block> {
        self.blocks
            .get(index as usize)
            .filter(|block| block.id.get() == id && block.state.get() != State::Free)
    }

    /// Takes a free block and gives it a new identity; the rest of it is as [`release`](Self::release)
    /// left it.
    #[inline]
    pub(crate) fn take(&self, name: &'static str, at: &'static Location<'static>) -> Option<u32> {
        let index = self.free.get();
        if index == NIL {
            return None;
        }
        let block = self.block(index);
        self.free.set(block.next.replace(NIL));
        let id = self.next_id.get();
        let following = id + 1;
        self.next_id.set(if following.is_multiple_of(RANGE) {
            take_range()
        } else {
            following
        });
        block.id.set(id);
        let cold = &self.cold[index as usize];
        cold.name.set(name);
        cold.spawned_at.set(at);
        let in_use = self.in_use.get() + 1;
        self.in_use.set(in_use);
        self.high_water.set(self.high_water.get().max(in_use));
        Some(index)
    }

    /// Gives a block back: its fiber is done, and nobody will ask for its result.
    #[inline]
    pub(crate) fn release(&self, index: u32) {
        let block = self.block(index);
        debug_assert_eq!(block.state.get(), State::Done);
        debug_assert_eq!(block.stack.get(), NIL);
        block.state.set(State::Free);
        block.started.set(false);
        block.cancelled.set(false);
        block.timed_out.set(false);
        block.panicked.set(false);
        block.joiner.set(NIL);
        block.shields.set(0);
        block.suspend_bans.set(0);
        block.deadline.set(std::ptr::null());
        block.next.set(self.free.replace(index));
        self.in_use.set(self.in_use.get() - 1);
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len() - 1
    }

    /// As [`len`](Self::len): one more than the highest index of a fiber.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        // Far below `u32::MAX`, by `Config::check`.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let count = self.len() as u32;
        count
    }

    /// The block that stands for the loop itself while it runs what is no fiber, and must not suspend. It is
    /// never handed out, and counts nowhere.
    #[inline]
    pub(crate) fn loops_own(&self) -> u32 {
        self.count()
    }

    /// Says where that which the loop is about to run was made.
    pub(crate) fn set_made_at(&self, index: u32, at: &'static Location<'static>) {
        self.cold[index as usize].spawned_at.set(at);
    }

    /// Blocks of fibers that live, or whose results nobody has taken yet.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.get()
    }

    pub(crate) fn high_water(&self) -> u32 {
        self.high_water.get()
    }

    pub(crate) fn name(&self, index: u32) -> &'static str {
        self.cold[index as usize].name.get()
    }

    pub(crate) fn spawned_at(&self, index: u32) -> &'static Location<'static> {
        self.cold[index as usize].spawned_at.get()
    }

    /// The indices of the blocks that are in use.
    pub(crate) fn used(&self) -> impl Iterator<Item = u32> + '_ {
        (0..)
            .zip(self.blocks.iter())
            .filter_map(|(index, block)| (block.state.get() != State::Free).then_some(index))
    }
}

/// Numbers that no other arena of this process has, or will have. The first is never 0.
fn take_range() -> u64 {
    NEXT_RANGE.fetch_add(RANGE, Ordering::Relaxed) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(arena: &Arena) -> Option<u32> {
        let index = arena.take("test", Location::caller())?;
        arena.block(index).state.set(State::Done);
        Some(index)
    }

    #[test]
    fn a_block_is_never_handed_out_twice_and_never_under_the_same_number() {
        let arena = Arena::new(2);
        let (first, second) = (take(&arena).unwrap(), take(&arena).unwrap());
        assert_eq!(take(&arena), None);
        let id = arena.block(first).id.get();
        assert_ne!(id, arena.block(second).id.get());
        assert!(arena.find(first, id).is_some());
        arena.release(first);
        assert!(arena.find(first, id).is_none());
        assert_eq!(take(&arena), Some(first));
        assert!(arena.find(first, id).is_none());
        assert_eq!((arena.in_use(), arena.high_water()), (2, 2));
    }

    #[test]
    fn no_two_arenas_of_a_process_give_the_same_number() {
        // The first one stays, as that of a reactor that gave up fibers does.
        let (left, next) = (Arena::new(1), Arena::new(1));
        let id = |arena: &Arena| arena.block(take(arena).unwrap()).id.get();
        let first = id(&left);
        assert!(first > 0);
        assert!(id(&next) >= first + RANGE - 1);
    }

    #[test]
    fn a_range_that_is_used_up_is_followed_by_a_fresh_one() {
        let (arena, other) = (Arena::new(1), Arena::new(1));
        arena.next_id.set(other.next_id.get() - 2);
        let last = take(&arena).unwrap();
        assert_eq!(arena.block(last).id.get() % RANGE, RANGE - 1);
        arena.release(last);
        let fresh = take(&arena).unwrap();
        assert!(arena.block(fresh).id.get() > other.next_id.get());
    }
}
