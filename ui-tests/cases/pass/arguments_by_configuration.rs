//! What the configuration removes is gone, in the call too.

#[flux::fiber(stack = "small")]
fn add(a: u32, #[cfg(any())] never: [u8; 4096], #[cfg(all())] b: u32) -> u32 {
    a + b
}

#[flux::main(core = "none")]
fn main() {
    assert_eq!(flux::spawn(add(1, 2)).join().unwrap(), 3);
}
