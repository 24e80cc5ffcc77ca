//! Saying whose stack overflowed, where the system would say "segmentation fault" and no more.
//!
//! A touch of a guard below a fiber's stack becomes one sentence on stderr, which names the fiber and the
//! attribute to change, and an abort. Every other fault goes to whoever handled it before.
//!
//! All of this runs in a signal handler, on its stack: no allocation, no lock, no formatting machinery.

#![allow(
    unsafe_code,
    reason = "a signal handler looks at cells that its own thread left unborrowed"
)]

use crate::config::StackClass;
use crate::fiber::block::NIL;
use crate::reactor::{Reactor, current};
use crate::sys::signal;

/// Looks at the address of a fault, and returns if it is no overflow of a fiber's stack.
pub(super) fn on_fault(address: usize) {
    current::try_with(|reactor| {
        let fiber = reactor.sched.current();
        if fiber != NIL
            && let Some(class) = guard_of(reactor, address)
        {
            report(reactor.sched.arena.name(fiber), class, address);
            std::process::abort();
        }
    });
}

/// The class of the stack whose guard was hit.
fn guard_of(reactor: &Reactor, address: usize) -> Option<StackClass> {
    // SAFETY: the slabs are borrowed by the loop alone, for the length of a call of its own, and this thread
    // runs a fiber; nobody changes them while the handler looks.
    let slabs = unsafe { reactor.slabs.try_borrow_unguarded() }.ok()?;
    StackClass::ALL
        .into_iter()
        .find(|class| slabs[class.index()].guard_hit(address).is_some())
}

fn report(fiber: &str, class: StackClass, address: usize) {
    let next = match class {
        StackClass::Small => "give it `stack = \"medium\"` in `#[flux::fiber]`",
        StackClass::Medium => "give it `stack = \"large\"` in `#[flux::fiber]`",
        StackClass::Large => "raise the size of the class with `Config::stack_size`",
    };
    let mut hex = [0; 16];
    let parts: [&[u8]; 9] = [
        b"flux: stack overflow in fiber `",
        fiber.as_bytes(),
        b"`: its ",
        class.name().as_bytes(),
        b" stack is used up (guard hit at 0x",
        hexadecimal(address, &mut hex),
        b"); ",
        next.as_bytes(),
        b"\n",
    ];
    let mut line = [0; 512];
    let mut len = 0;
    for byte in parts.into_iter().flatten().take(line.len()) {
        line[len] = *byte;
        len += 1;
    }
    signal::write_stderr(&line[..len]);
}

/// The digits of an address, without the allocation that formatting may make.
fn hexadecimal(mut value: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[value % 16];
        value /= 16;
        if value == 0 || start == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_read_them() {
        let mut digits = [0; 16];
        assert_eq!(hexadecimal(0, &mut digits), b"0");
        assert_eq!(hexadecimal(0x7fa8_b315_feb8, &mut digits), b"7fa8b315feb8");
        assert_eq!(hexadecimal(usize::MAX, &mut digits), b"ffffffffffffffff");
    }
}
