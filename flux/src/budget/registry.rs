//! Every `#[flux::fiber]` function of the program, as the linker found them.
//!
//! Each puts a [`FiberFn`] into one section of its own object file, by code that the attribute generates.
//! The linker lays those of all crates one behind the other, and names both ends: data alone, no code
//! that runs before `main`, and no crate for it, since the three systems that flux knows have it in three
//! lines. What the user's crate gets of it is an attribute in a macro's expansion, which
//! `#![forbid(unsafe_code)]` allows.
//!
//! Records are `#[used]`, so that a function counts whether it is called or not. Should a linker drop one all
//! the same, then of a function that nothing calls, or that has no `max`: one with `max` is pointed to by its
//! fibers, and stays while there can be any.
//!
//! **Invariant:** nothing but `FiberFn` stands in the section. Its name has a number, to be raised with any
//! change of [`FiberFn`], since two versions of flux may meet in one program.

#![allow(
    unsafe_code,
    reason = "the linker says where the records begin and end"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::{COUNT_MAX, StackClass};

/// What a fiber function says of itself at link time.
// As large as it is aligned, so that records have no gap between them, however a linker aligns each.
#[repr(C, align(32))]
#[derive(Debug)]
pub struct FiberFn {
    name: &'static str,
    /// Its number among all; `NOWHERE` until a reactor was made.
    place: AtomicU32,
    /// 0 for no bound.
    max: u32,
    class: StackClass,
}

const _: () = assert!(size_of::<FiberFn>() == align_of::<FiberFn>());

/// The number of a function that no reactor knows.
const NOWHERE: u32 = u32::MAX;

impl FiberFn {
    /// A function by its name and the class of its stacks, of which so many fibers live at once.
    ///
    /// A bound that makes no sense is refused where it is written (`macro_support::assert_max`), and is none here.
    pub const fn new(name: &'static str, class: StackClass, max: Option<usize>) -> Self {
        Self {
            name,
            place: AtomicU32::new(NOWHERE),
            max: match max {
                // Far below `u32::MAX`.
                #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
                Some(max) if max <= COUNT_MAX => max as u32,
                _ => 0,
            },
            class,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn class(&self) -> StackClass {
        self.class
    }

    /// How many of its fibers live at once, if that is bounded.
    pub(crate) fn max(&self) -> Option<u32> {
        (self.max > 0).then_some(self.max)
    }

    /// Its number among all functions.
    pub(crate) fn place(&self) -> Option<u32> {
        let place = self.place.load(Ordering::Relaxed);
        (place != NOWHERE).then_some(place)
    }

    /// Gives it its number: the same for every reactor of a process.
    pub(crate) fn set_place(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }
}

/// The main fiber, which needs a stack as others do; and the reason that the section is never empty.
#[used]
#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd"),
    unsafe(link_section = "flux_fibers_1")
)]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__flux_fibers_1"))]
#[cfg_attr(windows, unsafe(link_section = ".flux$1a"))]
static MAIN: FiberFn = FiberFn::new("main", StackClass::Large, Some(1));

/// All functions, the main fiber among them.
#[cfg(all(not(miri), not(windows)))]
pub(crate) fn all() -> &'static [FiberFn] {
    unsafe extern "Rust" {
        #[cfg_attr(
            any(target_os = "linux", target_os = "freebsd"),
            link_name = "__start_flux_fibers_1"
        )]
        #[cfg_attr(
            target_os = "macos",
            link_name = "\u{1}section$start$__DATA$__flux_fibers_1"
        )]
        static START: FiberFn;
        #[cfg_attr(
            any(target_os = "linux", target_os = "freebsd"),
            link_name = "__stop_flux_fibers_1"
        )]
        #[cfg_attr(
            target_os = "macos",
            link_name = "\u{1}section$end$__DATA$__flux_fibers_1"
        )]
        static STOP: FiberFn;
    }
    between(&raw const START, &raw const STOP)
}

/// All functions, the main fiber among them: sections are sorted by what stands behind their `$`.
#[cfg(all(not(miri), windows))]
pub(crate) fn all() -> &'static [FiberFn] {
    #[used]
    #[unsafe(link_section = ".flux$1c")]
    static STOP: FiberFn = FiberFn::new("", StackClass::Small, None);
    between(&raw const MAIN, &raw const STOP)
}

/// The interpreter has no linker.
#[cfg(miri)]
pub(crate) fn all() -> &'static [FiberFn] {
    std::slice::from_ref(&MAIN)
}

/// The records from one address to another.
#[cfg(not(miri))]
fn between(start: *const FiberFn, stop: *const FiberFn) -> &'static [FiberFn] {
    // Held back, so that the compiler does not conclude from two names that these are two objects.
    let (start, stop) = (std::hint::black_box(start), std::hint::black_box(stop));
    let count = (stop.addr() - start.addr()) / size_of::<FiberFn>();
    // SAFETY:
    // - whole records, and nothing else, from `start` to `stop`: the section holds `FiberFn` alone (see
    //   above), each as large as it is aligned, so that the linker leaves no gap between them;
    // - there for ever, and never written but through the atomic.
    unsafe { std::slice::from_raw_parts(start, count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[used]
    #[cfg_attr(
        any(target_os = "linux", target_os = "freebsd"),
        unsafe(link_section = "flux_fibers_1")
    )]
    #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__flux_fibers_1"))]
    #[cfg_attr(windows, unsafe(link_section = ".flux$1b"))]
    static TESTED: FiberFn = FiberFn::new("tested", StackClass::Small, Some(7));

    #[test]
    fn what_stands_in_the_section_is_found_and_the_main_fiber_once() {
        let mut found: Vec<_> = all()
            .iter()
            .map(|function| (function.name(), function.max()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("main", Some(1)), ("tested", Some(7))]);
    }
}
