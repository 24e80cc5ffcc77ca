//! One mapping cut into equal stacks, with a guard below each and a free list of those not in use.
//!
//! ```text
//! slot   │ guard │ usable, at least `bytes` │ colour │    low to high; a stack grows down
//!                                           ▲ top: a different offset in its page for each slot
//! ```
//!
//! - **Guard:** by `MADV_GUARD_INSTALL`, which costs no mapping, else by `mprotect`, which costs two and is
//!   refused at init when the kernel's limit would end it half-way. On Windows, as the system guards a thread's.
//! - **Colour:** tops that are equal modulo 4 KiB share their cache sets, which makes every switch several
//!   times dearer from a dozen fibers up; so each top is moved down by up to 2 KiB.
//! - **Free list:** last in, first out, so that the stack handed out is the one still in the cache.
//! - **Prefault:** the top pages are backed at init, since a first touch later costs microseconds.
//!
//! Does not know fibers, nor classes.

#![allow(
    unsafe_code,
    reason = "corosensei's `Stack` is an unsafe trait: it trusts the addresses given here"
)]

use std::io;
use std::num::NonZeroUsize;

use crate::sys::memory::{self, Mapping};

/// The unusable bytes below each stack. C code, unlike Rust's, does not probe each page of a large frame.
#[cfg(not(windows))]
const GUARD_BYTES: usize = 12 * 1024;
/// The unusable bytes below each stack: a page that stays closed, and what the handler of an overflow runs on.
#[cfg(windows)]
const GUARD_BYTES: usize = 4 * 1024 + memory::HANDLER_BYTES;
/// The room for the colour, so that it takes nothing from what was promised.
const COLOUR_BYTES: usize = 4 * 1024;
/// Consecutive slots differ by so much; a multiple of the 64 bytes of a cache line.
const COLOUR_STEP: usize = 320;
/// The colours lie below 2 KiB, so that what a parked fiber touches stays within its top page.
const COLOUR_MASK: usize = 0x7c0;
/// So many places lie between the first colours of two slabs.
const COLOURS_APART: usize = 11;
/// Mappings left for the rest of the process when guards cost two a stack.
const MAPPINGS_SPARE: usize = 1024;

const _: () = assert!(COLOUR_MASK < COLOUR_BYTES && COLOUR_MASK.is_multiple_of(64));
const _: () = assert!(COLOUR_STEP.is_multiple_of(64));

/// One stack of a slab, by its bounds. A plain value: the slab keeps who has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    top: NonZeroUsize,
    limit: NonZeroUsize,
}

// SAFETY: `Slab::stack` gives bounds inside one slot of a live mapping: writable from above the guard to
// `top`, at least 16 KiB (`Config::check`), with the guard at `limit`; both are multiples of 64.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> corosensei::stack::StackPointer {
        self.top
    }

    fn limit(&self) -> corosensei::stack::StackPointer {
        self.limit
    }

    /// What the system is told of the stack that a thread is on. All of it is there from the start, so that the
    /// next thing to be touched below is the guard.
    #[cfg(windows)]
    fn teb_fields(&self) -> corosensei::stack::StackTebFields {
        // As `Slab::new` has it. Reckoned again, since a context has no room for a third bound.
        let guard_bytes = memory::round_to_pages(GUARD_BYTES).unwrap_or(GUARD_BYTES);
        corosensei::stack::StackTebFields {
            StackBase: self.top.get(),
            StackLimit: self.limit.get() + guard_bytes,
            DeallocationStack: self.limit.get(),
            GuaranteedStackBytes: memory::HANDLER_BYTES,
        }
    }

    /// Nothing to keep: the next fiber finds the stack as it was made, since an overflow ends the process.
    #[cfg(windows)]
    fn update_teb_fields(&mut self, _stack_limit: usize, _guaranteed_stack_bytes: usize) {}
}

pub(crate) struct Slab {
    /// Where this slab starts in the sequence of colours.
    first_colour: usize,
    mapping: Option<Mapping>,
    slot_bytes: usize,
    guard_bytes: usize,
    count: usize,
    free: Vec<u32>,
    low_water: usize,
}

impl Slab {
    /// Maps, guards and prefaults `count` stacks of at least `bytes` usable bytes.
    ///
    /// Slabs with different numbers start at different colours: the first stack of one and the first of
    /// another are often switched between.
    pub(crate) fn new(
        number: usize,
        count: usize,
        bytes: usize,
        prefault: usize,
    ) -> io::Result<Self> {
        let page = memory::page_size();
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let guard_bytes = memory::round_to_pages(GUARD_BYTES).ok_or_else(too_large)?;
        let usable = memory::round_to_pages(bytes).ok_or_else(too_large)?;
        let colour = memory::round_to_pages(COLOUR_BYTES).ok_or_else(too_large)?;
        let prefault = memory::round_to_pages(prefault).ok_or_else(too_large)?;
        let slot_bytes = usable
            .checked_add(guard_bytes + colour)
            .ok_or_else(too_large)?;
        let total = slot_bytes.checked_mul(count).ok_or_else(too_large)?;
        debug_assert!(slot_bytes.is_multiple_of(page));
        let mapping = if count == 0 {
            None
        } else {
            let mapping = Mapping::new(total)?;
            guard_slots(&mapping, slot_bytes, guard_bytes)?;
            for end in (slot_bytes..=total).step_by(slot_bytes) {
                mapping.populate(end - prefault, prefault)?;
            }
            Some(mapping)
        };
        // Slot 0 is handed out first: the list is a stack. `Config::check` bounds the count.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let free = (0..count as u32).rev().collect();
        Ok(Self {
            first_colour: number * COLOURS_APART,
            mapping,
            slot_bytes,
            guard_bytes,
            count,
            free,
            low_water: count,
        })
    }

    /// A stack that nobody has, or `None` when all are in use.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.low_water = self.low_water.min(self.free.len());
        Some(slot)
    }

    /// Gives a stack back. What ran on it has ended.
    pub(crate) fn give_back(&mut self, slot: u32) {
        debug_assert!((slot as usize) < self.count && self.free.len() < self.count);
        self.free.push(slot);
    }

    /// The bounds of a slot that was taken.
    pub(crate) fn stack(&self, slot: u32) -> Stack {
        let slot = slot as usize;
        assert!(slot < self.count, "slot {slot} of {}", self.count);
        let start = self.mapping.as_ref().map_or(0, Mapping::start) + slot * self.slot_bytes;
        let top = start + self.slot_bytes - colour(self.first_colour + slot);
        // A slab with a slot has a mapping, which does not start at 0.
        Stack {
            top: NonZeroUsize::new(top).expect("a mapping lies above 0"),
            limit: NonZeroUsize::new(start).expect("a mapping lies above 0"),
        }
    }

    /// The slot whose guard an address lies in, if it lies in one.
    pub(crate) fn guard_hit(&self, address: usize) -> Option<u32> {
        let mapping = self.mapping.as_ref()?;
        let offset = address.checked_sub(mapping.start())?;
        let in_guard = offset < mapping.len() && offset % self.slot_bytes < self.guard_bytes;
        in_guard.then(|| u32::try_from(offset / self.slot_bytes).ok())?
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn in_use(&self) -> usize {
        self.count - self.free.len()
    }

    /// The most that were in use at once.
    pub(crate) fn high_water(&self) -> usize {
        self.count - self.low_water
    }
}

/// How far a top is moved down: the place in the sequence of colours decides.
fn colour(place: usize) -> usize {
    place.wrapping_mul(COLOUR_STEP) & COLOUR_MASK
}

fn guard_slots(mapping: &Mapping, slot_bytes: usize, guard_bytes: usize) -> io::Result<()> {
    let starts = || (0..mapping.len()).step_by(slot_bytes);
    match mapping.guard(0, guard_bytes) {
        Ok(()) => starts()
            .skip(1)
            .try_for_each(|start| mapping.guard(start, guard_bytes)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let slots = mapping.len() / slot_bytes;
            let allowed = memory::mappings_max().saturating_sub(MAPPINGS_SPARE) / 2;
            if slots > allowed {
                return Err(io::Error::other(format!(
                    "{slots} guard pages need two mappings each on a kernel before 6.13, and \
                     `vm.max_map_count` leaves room for {allowed}; raise that sysctl or lower the count"
                )));
            }
            starts().try_for_each(|start| mapping.protect(start, guard_bytes))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corosensei::stack::Stack as _;

    #[test]
    fn the_last_stack_given_back_is_the_first_handed_out() {
        let mut slab = Slab::new(0, 3, 64 * 1024, 4096).unwrap();
        assert_eq!((slab.take(), slab.take()), (Some(0), Some(1)));
        slab.give_back(0);
        assert_eq!(
            (slab.take(), slab.take(), slab.take()),
            (Some(0), Some(2), None)
        );
        assert_eq!((slab.in_use(), slab.high_water()), (3, 3));
    }

    #[test]
    fn a_stack_keeps_what_its_class_promises_whatever_its_colour() {
        let slab = Slab::new(1, 64, 64 * 1024, 0).unwrap();
        let mut colours = std::collections::HashSet::new();
        for slot in 0..64 {
            let stack = slab.stack(slot);
            let usable = stack.base().get() - stack.limit().get() - slab.guard_bytes;
            assert!(usable >= 64 * 1024, "slot {slot}: {usable}");
            assert!(stack.base().get().is_multiple_of(64));
            colours.insert(stack.base().get() % 4096);
        }
        assert_eq!(colours.len(), 32, "all the colours are used");
    }

    #[test]
    fn an_address_is_told_to_lie_in_a_guard_or_not() {
        let slab = Slab::new(0, 2, 64 * 1024, 0).unwrap();
        let second = slab.stack(1).limit().get();
        assert_eq!(slab.guard_hit(second), Some(1));
        assert_eq!(slab.guard_hit(second + slab.guard_bytes - 1), Some(1));
        assert_eq!(slab.guard_hit(second + slab.guard_bytes), None);
        assert_eq!(slab.guard_hit(second - 1), None);
        assert_eq!(slab.guard_hit(1), None);
        assert_eq!(slab.guard_hit(second + slab.slot_bytes), None);
    }

    #[test]
    fn a_class_without_stacks_has_none_to_give() {
        let mut slab = Slab::new(0, 0, 64 * 1024, 8192).unwrap();
        assert_eq!(slab.take(), None);
        assert_eq!(slab.guard_hit(4096), None);
    }

    #[test]
    fn a_size_beyond_the_address_space_is_an_error_and_not_a_panic() {
        assert!(Slab::new(0, 1 << 24, usize::MAX / 2, 0).is_err());
    }
}
