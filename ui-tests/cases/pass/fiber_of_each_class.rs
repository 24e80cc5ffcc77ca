//! Three classes, and calls of fibers that make nothing run.

use std::cell::Cell;
use std::rc::Rc;

#[flux::fiber(stack = "small")]
fn small(ran: Rc<Cell<u32>>, value: u32) -> u32 {
    ran.set(ran.get() + 1);
    value
}

#[flux::fiber(stack = "medium")]
fn medium(value: u32) -> u32 {
    value
}

#[flux::fiber(stack = "large",)]
fn large(value: u32) -> u32 {
    value
}

#[flux::fiber]
fn by_default() {}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    let ran = Rc::new(Cell::new(0));
    let fiber = small(ran.clone(), 1);
    assert_eq!(ran.get(), 0, "a call only makes the fiber");
    assert_eq!(flux::spawn(fiber).join()?, 1);
    assert_eq!(ran.get(), 1);
    assert_eq!(flux::spawn(medium(2)).join()?, 2);
    assert_eq!(flux::spawn(large(3)).join()?, 3);
    flux::spawn(by_default()).join()?;
    Ok(())
}
