//! A crate that brings every name by itself.

#![no_implicit_prelude]

use ::std::assert_eq;

#[::flux::fiber(stack = "small", max = 2)]
fn handler(value: u32, more: [u32; 2]) -> u32 {
    value + more[0]
}

#[::flux::main(core = "none", idle = "spin 1us", stacks(small = 4))]
fn main() {
    assert_eq!(::flux::spawn(handler(1, [2, 3])).join().unwrap(), 3);
}
