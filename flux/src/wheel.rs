//! Deadlines by timer, nearest first: a hierarchical timing wheel (Varghese and Lauck, 1987) with a place for
//! each timer, made at init.
//!
//! Time is cut into ticks of 512 ns, and a tick is read as nine groups of six bits. A timer stands at the
//! *level* of the highest group in which its tick differs from the wheel's own, in the *slot* that this group
//! of its tick names. So every timer of a lower level comes before every timer of a higher one, a lower slot
//! comes before a higher one, and no slot behind the wheel's own tick is in use:
//!
//! ```text
//! the wheel's tick    .. 000010 000111 001000
//! one timer's tick    .. 000010 000111 010001     level 0, slot 17
//! another's           .. 000010 001001 000000     level 1, slot 9
//! ```
//!
//! A slot is a list in the order of setting, and knows the earliest moment that was put into it. That is the
//! moment to wake for: a slot of a higher level is taken apart when its first timer is due, never merely because
//! its time begins. To take it apart is to move its list to `pending` at once, and then to place one timer after
//! the other again, at a lower level; what is due comes out of level 0, or of a slot that holds it alone. How
//! many are looked at in a turn is the caller's to say.
//!
//! **Invariant:** each timer outside `pending` stands where it would be placed anew, at all times. Therefore the
//! wheel's tick does not enter an occupied slot of a higher level: it stops before it until the slot is taken
//! apart.
//!
//! **Order:** timers come out tick by tick, and those of one tick in the order in which they were set; but while a
//! slot stays half taken apart, because the work was used up, those that are set meanwhile may overtake equal ones
//! in `pending`.
//!
//! Takes numbers and gives numbers: does not read the clock, and knows no fiber. Everything that it holds is two
//! boxed slices of fixed size: nothing is allocated after `new`.

/// A tick is 2^9 ns.
const TICK_BITS: u32 = 9;
/// A group of bits of a tick says which of 2^6 slots.
const GROUP_BITS: u32 = 6;
const LEVELS: u32 = 9;
/// Slots of one level, which are the bits of a `u64`.
const SLOTS: u32 = 1 << GROUP_BITS;
/// The last moment that the levels can tell apart, 292 years after the first: a later one counts as this.
pub(crate) const LAST_NS: u64 = (1 << (TICK_BITS + GROUP_BITS * LEVELS)) - 1;

/// No timer.
const NIL: u32 = u32::MAX;
/// The slot of a timer that is not set.
const ABSENT: u16 = u16::MAX;

const _: () = {
    assert!(SLOTS == u64::BITS);
    assert!(LEVELS <= u16::BITS, "a bit of `Wheel::levels` for each");
    assert!(LEVELS * SLOTS < ABSENT as u32);
    assert!(size_of::<Node>() == 24);
};

/// A timer, in one list if it is set.
///
/// In this order so that no two links stand side by side: read as one, right after they were written one by one,
/// they stall the processor for longer than all else takes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Node {
    next: u32,
    /// Where it was placed, over all levels, or `ABSENT`. In `pending` it still names the slot that was taken
    /// apart: renaming would mean to visit them all at once.
    slot: u16,
    at_ns: u64,
    prev: u32,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
    };
}

#[derive(Clone, Copy)]
struct Slot {
    list: List,
    /// The minimum of what was placed here since the slot was last empty: not after any timer that is here.
    earliest_ns: u64,
}

/// Timers, by number, and when each is due.
pub(crate) struct Wheel {
    nodes: Box<[Node]>,
    slots: Box<[Slot]>,
    /// For each level, which of its slots are not empty.
    occupied: [u64; LEVELS as usize],
    /// Which levels are not empty.
    levels: u16,
    len: u32,
    /// Where the wheel stands: what all placing is relative to. Not after `newest_ns`.
    tick: u64,
    /// The latest moment that `expire` was told.
    newest_ns: u64,
    /// What is left of the slot that is being taken apart.
    pending: List,
    /// Whether that is all of one tick, or of one timer: then what is due may leave at once.
    in_order: bool,
}

impl Wheel {
    /// A wheel for the timers from 0 to `capacity - 1`, none of which is set.
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(
            capacity <= NIL as usize,
            "a wheel of {capacity} timers: their numbers are `u32`, and the last one means none"
        );
        let node = Node {
            at_ns: 0,
            next: NIL,
            prev: NIL,
            slot: ABSENT,
        };
        let slot = Slot {
            list: List::EMPTY,
            earliest_ns: 0,
        };
        Self {
            nodes: vec![node; capacity].into_boxed_slice(),
            slots: vec![slot; (LEVELS * SLOTS) as usize].into_boxed_slice(),
            occupied: [0; LEVELS as usize],
            levels: 0,
            len: 0,
            tick: 0,
            newest_ns: 0,
            pending: List::EMPTY,
            in_order: false,
        }
    }

    /// How many timers are set.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[cfg(test)]
    pub(crate) fn is_set(&self, id: u32) -> bool {
        self.nodes[id as usize].slot != ABSENT
    }

    /// A moment not after the nearest deadline; 0, which is now, while a slot is being taken apart.
    ///
    /// It is the nearest deadline itself unless a timer was removed, or set anew, that shared a slot with those
    /// that are nearest now. A wake-up at a moment at which nothing is due costs one call of `expire`, which
    /// makes it exact for that slot.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        if self.pending.head != NIL {
            return Some(0);
        }
        let slot = self.first()?;
        Some(self.slots[usize::from(slot)].earliest_ns)
    }

    /// Sets a timer, in place of the deadline that it had. One that has passed is due at the next `expire`; one
    /// after `LAST_NS` counts as that.
    #[inline]
    pub(crate) fn set(&mut self, id: u32, at_ns: u64) {
        let node = &self.nodes[id as usize];
        if node.slot == ABSENT {
            self.len += 1;
        } else {
            let Node {
                next, prev, slot, ..
            } = *node;
            self.unlink(id, next, prev, slot);
        }
        self.place(id, at_ns.min(LAST_NS));
    }

    /// Takes a timer back, if it is set.
    #[inline]
    pub(crate) fn remove(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        let Node {
            next, prev, slot, ..
        } = *node;
        if slot != ABSENT {
            node.slot = ABSENT;
            self.len -= 1;
            self.unlink(id, next, prev, slot);
        }
    }

    /// Takes out one timer whose deadline is not after `now_ns`, to the nanosecond.
    ///
    /// Each timer that is looked at, due or not, costs 1 of `work`. `None` with work left means that nothing is due;
    /// `None` without it that there may be more: `next` tells, and a later call goes on where this one ended. Between
    /// two calls every timer may be set and removed, also those in the slot that is being taken apart.
    ///
    /// A moment before the one of an earlier call counts as that one: time does not go backwards.
    #[inline]
    pub(crate) fn expire(&mut self, now_ns: u64, work: &mut u32) -> Option<u32> {
        debug_assert!(
            now_ns >= self.newest_ns,
            "time went backwards, from {} ns to {now_ns} ns",
            self.newest_ns
        );
        self.newest_ns = self.newest_ns.max(now_ns);
        loop {
            let id = self.pending.head;
            if id == NIL {
                if !self.take_apart_first() {
                    return None;
                }
                continue;
            }
            if *work == 0 {
                return None;
            }
            *work -= 1;
            let at_ns = self.nodes[id as usize].at_ns;
            if self.in_order && at_ns <= self.newest_ns {
                self.remove(id);
                return Some(id);
            }
            let Node {
                next, prev, slot, ..
            } = self.nodes[id as usize];
            self.unlink(id, next, prev, slot);
            self.place(id, at_ns);
        }
    }

    /// Moves the first slot to `pending`, which is empty, if its time has come; false if nothing is due. Moves the
    /// wheel's tick on as far as the invariant allows.
    #[inline]
    fn take_apart_first(&mut self) -> bool {
        let now_tick = self.newest_ns >> TICK_BITS;
        let Some(first) = self.first() else {
            self.tick = now_tick;
            return false;
        };
        let (start, end) = self.span(first);
        let slot = &mut self.slots[usize::from(first)];
        if slot.earliest_ns > self.newest_ns {
            // A slot of level 0 is one tick: what is in it stays there when the wheel arrives. One of a higher
            // level would have to be taken apart.
            let limit = if start == end { end } else { start - 1 };
            self.tick = now_tick.min(limit);
            return false;
        }
        self.in_order = start == end || slot.list.head == slot.list.tail;
        // What goes to lower levels is placed as seen from the first of it: what is due with that is at level 0.
        self.tick = if self.in_order {
            now_tick.min(end)
        } else {
            (slot.earliest_ns >> TICK_BITS).max(start)
        };
        self.pending = slot.list;
        slot.list = List::EMPTY;
        self.vacate(first);
        true
    }

    /// The slot of the nearest deadline.
    #[inline]
    fn first(&self) -> Option<u16> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let place = self.occupied[level as usize].trailing_zeros();
        Some(slot_number(level, place))
    }

    /// The first and the last tick of a slot that is not empty.
    #[inline]
    fn span(&self, slot: u16) -> (u64, u64) {
        let (level, place) = level_and_place(slot);
        let shift = level * GROUP_BITS;
        // The groups above are the wheel's own: see the invariant.
        let above = self.tick >> shift >> GROUP_BITS << GROUP_BITS;
        let start = (above | u64::from(place)) << shift;
        (start, start | ((1 << shift) - 1))
    }

    /// Puts a timer, which is in no list, where it belongs: behind those that are there.
    #[inline]
    fn place(&mut self, id: u32, at_ns: u64) {
        // What has passed is with what is due in this tick.
        let tick = (at_ns >> TICK_BITS).max(self.tick);
        let level = ((tick ^ self.tick) | 1).ilog2() / GROUP_BITS;
        let group = tick >> (level * GROUP_BITS) & u64::from(SLOTS - 1);
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a group of bits is smaller than `SLOTS`"
        )]
        let place = group as u32;
        let number = slot_number(level, place);
        let slot = &mut self.slots[usize::from(number)];
        let prev = slot.list.tail;
        slot.list.tail = id;
        if prev == NIL {
            slot.list.head = id;
            slot.earliest_ns = at_ns;
            self.occupied[level as usize] |= 1 << place;
            self.levels |= 1 << level;
        } else {
            slot.earliest_ns = slot.earliest_ns.min(at_ns);
            self.nodes[prev as usize].next = id;
        }
        self.nodes[id as usize] = Node {
            at_ns,
            next: NIL,
            prev,
            slot: number,
        };
    }

    /// Takes a timer, which is set, out of its list, of which its node said this.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "its arguments have just been read: called, they are passed through memory"
    )]
    fn unlink(&mut self, id: u32, next: u32, prev: u32, slot: u16) {
        // A node does not know whether its slot was taken apart: at the ends of its list, `pending` tells.
        if prev != NIL {
            self.nodes[prev as usize].next = next;
        } else if self.pending.head == id {
            self.pending.head = next;
        } else {
            self.slots[usize::from(slot)].list.head = next;
            if next == NIL {
                self.vacate(slot);
            }
        }
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        } else if self.pending.tail == id {
            self.pending.tail = prev;
        } else {
            self.slots[usize::from(slot)].list.tail = prev;
        }
    }

    /// Notes that a slot has become empty.
    #[inline]
    fn vacate(&mut self, slot: u16) {
        let (level, place) = level_and_place(slot);
        let occupied = &mut self.occupied[level as usize];
        *occupied &= !(1 << place);
        if *occupied == 0 {
            self.levels &= !(1 << level);
        }
    }
}

/// The number of a slot over all levels.
#[inline]
fn slot_number(level: u32, place: u32) -> u16 {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "`LEVELS * SLOTS` is smaller than `ABSENT`, by the assertion at the top"
    )]
    let number = (level * SLOTS + place) as u16;
    number
}

/// A slot's level, and its place there.
#[inline]
fn level_and_place(slot: u16) -> (u32, u32) {
    (u32::from(slot) / SLOTS, u32::from(slot) % SLOTS)
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;
