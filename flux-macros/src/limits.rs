//! The limits that `flux::Config` has, so that a number beyond them is an error at the number.
//!
//! `ui-tests/tests/limits.rs` reads this file, and fails when the runtime has others.

/// The most fibers, timers, or stacks of a class.
pub(crate) const COUNT_MAX: usize = 1 << 24;
/// The smallest stack.
pub(crate) const STACK_BYTES_MIN: usize = 16 << 10;
/// The largest stack.
pub(crate) const STACK_BYTES_MAX: usize = 1 << 30;
/// The classes, smallest first, with their sizes where none is given.
pub(crate) const STACK_BYTES: [(&str, usize); 3] = [
    ("small", 64 << 10),
    ("medium", 256 << 10),
    ("large", 1 << 20),
];
/// The most feeds.
pub(crate) const FEEDS_MAX: usize = 32_768;
/// The smallest memory of a feed.
pub(crate) const FEED_BYTES_MIN: usize = 32 << 10;
/// The largest memory of a feed.
pub(crate) const FEED_BYTES_MAX: usize = 1 << 30;
/// The smallest page that a system has.
pub(crate) const PAGE_BYTES: usize = 4 << 10;
