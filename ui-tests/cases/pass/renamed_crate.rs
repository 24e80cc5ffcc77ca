//! The crate under another name: every path of the generated code begins with it.

mod deps {
    pub use flux as fibers;
}

const MAX: usize = 4;

#[deps::fibers::fiber(crate = deps::fibers, stack = "small", max = MAX)]
fn double(value: [u32; 4]) -> [u32; 4] {
    value.map(|value| value * 2)
}

#[deps::fibers::main(crate = crate::deps::fibers, core = "none", fibers = 8, grace = "1s")]
fn main() {
    let handle = deps::fibers::spawn(double([1; 4]));
    assert_eq!(handle.join().unwrap(), [2; 4]);
}
