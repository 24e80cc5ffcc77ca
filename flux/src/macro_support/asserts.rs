//! What generated code asserts while it is compiled, of numbers and types that a macro cannot see.
//!
//! Each sentence has the number that is wrong and the one that would be right.

use crate::config::feeds::{FEED_BYTES_MAX, FEED_BYTES_MIN, FEEDS_MAX};
use crate::config::{COUNT_MAX, STACK_BYTES_MAX, STACK_BYTES_MIN};
use crate::fiber::block::{SLOT_ALIGN, SLOT_BYTES};

/// Refuses, while compiling, a `main` that is not the program's.
///
/// # Panics
/// When the path is not that of a crate's root.
#[track_caller]
pub const fn assert_crate_root(module_path: &str) {
    let path = module_path.as_bytes();
    let mut at = 0;
    while at < path.len() {
        assert!(
            path[at] != b':',
            "`#[flux::main]` goes on `fn main` in the crate root: here nothing would ever call it"
        );
        at += 1;
    }
}

/// Refuses, while compiling, a number of fibers with which no reactor can be made.
///
/// # Panics
/// When it is 0, or too large.
#[track_caller]
pub const fn assert_fibers(count: usize) {
    assert!(
        count > 0,
        "`fibers` is 0, and there is no room for the main fiber: it is at least 1"
    );
    at_most("`fibers` is ", count);
}

/// Refuses, while compiling, a number of timers with which no reactor can be made.
///
/// # Panics
/// When it is too large.
#[track_caller]
pub const fn assert_timers(count: usize) {
    at_most("`timers` is ", count);
}

/// Refuses, while compiling, a number of feeds with which no reactor can be made.
///
/// # Panics
/// When it is too large.
#[track_caller]
pub const fn assert_feeds(count: usize) {
    if count > FEEDS_MAX {
        Sentence::new("`feeds` is ")
            .number(count)
            .text(", and ")
            .number(FEEDS_MAX)
            .text(" is the most")
            .fail();
    }
}

/// Refuses, while compiling, memory that no feed can use. The pages of the system that this will run on may be
/// larger than the smallest there are: `Config` looks again.
///
/// # Panics
/// When it is out of range, or not whole pages.
#[track_caller]
pub const fn assert_feed_buffer(bytes: usize) {
    const PAGE_BYTES: usize = 4096;
    if bytes < FEED_BYTES_MIN || bytes > FEED_BYTES_MAX {
        Sentence::new("`feed_buffer` is ")
            .number(bytes)
            .text(" bytes, and must be from ")
            .number(FEED_BYTES_MIN)
            .text(" to ")
            .number(FEED_BYTES_MAX)
            .fail();
    }
    if !bytes.is_multiple_of(PAGE_BYTES) {
        Sentence::new("`feed_buffer` is ")
            .number(bytes)
            .text(" bytes, and must be whole pages: the next size is ")
            .number(bytes.next_multiple_of(PAGE_BYTES))
            .fail();
    }
}

/// Refuses, while compiling, a number of stacks with which no reactor can be made.
///
/// # Panics
/// When it is too large.
#[track_caller]
pub const fn assert_stacks(count: usize) {
    at_most("this number of stacks is ", count);
}

/// Refuses, while compiling, a number of large stacks with which no reactor can be made.
///
/// # Panics
/// When it is 0, or too large.
#[track_caller]
pub const fn assert_large_stacks(count: usize) {
    assert!(
        count > 0,
        "`large` is 0, and the main fiber runs on a large stack: it is at least 1"
    );
    at_most("this number of stacks is ", count);
}

/// Refuses, while compiling, a bound that no fiber of a function could keep.
///
/// # Panics
/// When it is 0, or too large.
#[track_caller]
pub const fn assert_max(count: usize) {
    assert!(
        count > 0,
        "`max` is 0, and a fiber of which there may be none can never be spawned: it is at least 1"
    );
    at_most("`max` is ", count);
}

/// Refuses, while compiling, a stack that no class can have.
///
/// # Panics
/// When it is out of range.
#[track_caller]
pub const fn assert_stack_size(bytes: usize) {
    if bytes < STACK_BYTES_MIN || bytes > STACK_BYTES_MAX {
        Sentence::new("this stack has ")
            .number(bytes)
            .text(" bytes, and must have from ")
            .number(STACK_BYTES_MIN)
            .text(" to ")
            .number(STACK_BYTES_MAX)
            .fail();
    }
}

/// Refuses, while compiling, stacks of a class that are larger than those of the next one.
///
/// # Panics
/// When the sizes, from small to large, fall.
#[track_caller]
pub const fn assert_stack_sizes_rise(bytes: [usize; 3]) {
    let [small, medium, large] = bytes;
    if small > medium || medium > large {
        Sentence::new("stack sizes rise from small to large, and these are ")
            .number(small)
            .text(", ")
            .number(medium)
            .text(" and ")
            .number(large)
            .text(" bytes")
            .fail();
    }
}

/// Refuses, while compiling, an argument that the control block has no room for.
///
/// # Panics
/// When it does not fit.
#[track_caller]
pub const fn assert_argument_fits<T>() {
    fits::<T>("this argument");
}

/// Refuses, while compiling, arguments that the control block has no room for together. Each by itself was asserted
/// before.
///
/// # Panics
/// When they do not fit.
#[track_caller]
pub const fn assert_arguments_fit<Arguments>() {
    if size_of::<Arguments>() > SLOT_BYTES {
        Sentence::new("these arguments take ")
            .number(size_of::<Arguments>())
            .text(" bytes together, and a fiber's control block has ")
            .number(SLOT_BYTES)
            .text(": put the large ones in a `Box`")
            .fail();
    }
}

/// Refuses, while compiling, a result that the control block has no room for.
///
/// # Panics
/// When it does not fit.
#[track_caller]
pub const fn assert_result_fits<T>() {
    fits::<T>("this result");
}

#[track_caller]
const fn fits<T>(what: &str) {
    if size_of::<T>() > SLOT_BYTES {
        Sentence::new(what)
            .text(" takes ")
            .number(size_of::<T>())
            .text(" bytes, and a fiber's control block has ")
            .number(SLOT_BYTES)
            .text(": put it in a `Box`")
            .fail();
    }
    if align_of::<T>() > SLOT_ALIGN {
        Sentence::new(what)
            .text(" is aligned to ")
            .number(align_of::<T>())
            .text(" bytes, and a fiber's control block to ")
            .number(SLOT_ALIGN)
            .text(": put it in a `Box`")
            .fail();
    }
}

#[track_caller]
const fn at_most(front: &str, count: usize) {
    if count > COUNT_MAX {
        Sentence::new(front)
            .number(count)
            .text(", and ")
            .number(COUNT_MAX)
            .text(" is the most")
            .fail();
    }
}

/// A text that is put together while compiling, where `format!` is not to be had.
struct Sentence {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl Sentence {
    const BYTES_MAX: usize = 200;
    /// As many digits as `usize` has at the most.
    const DIGITS_MAX: usize = 20;

    const fn new(text: &str) -> Self {
        let empty = Self {
            bytes: [0; Self::BYTES_MAX],
            len: 0,
        };
        empty.text(text)
    }

    const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
        self
    }

    const fn number(mut self, number: usize) -> Self {
        let mut digits = [0; Self::DIGITS_MAX];
        let (mut rest, mut count) = (number, 0);
        loop {
            // Below 10.
            #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
            let digit = (rest % 10) as u8;
            digits[count] = b'0' + digit;
            count += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        while count > 0 {
            count -= 1;
            self.bytes[self.len] = digits[count];
            self.len += 1;
        }
        self
    }

    #[track_caller]
    const fn fail(&self) -> ! {
        let (text, _) = self.bytes.split_at(self.len);
        match str::from_utf8(text) {
            Ok(text) => panic!("{}", text),
            // Its parts are texts.
            Err(_) => panic!(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_holds_texts_and_numbers() {
        let sentence = Sentence::new("a ")
            .number(0)
            .text(", b ")
            .number(usize::MAX);
        let text = str::from_utf8(&sentence.bytes[..sentence.len]).unwrap();
        assert_eq!(text, format!("a 0, b {}", usize::MAX));
    }

    #[test]
    fn the_longest_sentence_has_room() {
        let stacks = std::panic::catch_unwind(|| assert_stack_size(usize::MAX)).unwrap_err();
        let text = stacks.downcast_ref::<String>().unwrap();
        assert!(text.ends_with(&STACK_BYTES_MAX.to_string()), "{text}");
        let falling = [usize::MAX, usize::MAX - 1, usize::MAX - 2];
        let rises = std::panic::catch_unwind(|| assert_stack_sizes_rise(falling)).unwrap_err();
        let text = rises.downcast_ref::<String>().unwrap();
        assert!(text.ends_with(" bytes"), "{text}");
    }
}
