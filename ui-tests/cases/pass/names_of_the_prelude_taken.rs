//! Generated code relies on no name that a crate may take for itself.

#![allow(dead_code, non_camel_case_types)]

mod core {}
mod std {}
struct Option;
struct Some;
struct None;
struct Result;
struct usize;

#[flux::fiber(stack = "small", max = 3)]
fn handler(value: u32) -> u32 {
    value
}

#[flux::main(core = "none", fibers = 8, grace = "1s")]
fn main() {
    assert_eq!(flux::spawn(handler(1)).join().unwrap(), 1);
}
