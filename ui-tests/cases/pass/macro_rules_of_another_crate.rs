//! A macro by example names flux through its own crate, and hygiene keeps its locals apart.

#[doc(hidden)]
pub use flux as __flux;

#[macro_export]
macro_rules! counter {
    ($name:ident, $step:expr) => {
        #[$crate::__flux::fiber(crate = $crate::__flux, stack = "small", max = 2)]
        fn $name(start: u32) -> u32 {
            let value = start;
            let step = $step;
            value + step
        }
    };
}

counter!(by_two, 2);
counter!(by_three, { let value = 3; value });

#[flux::main(core = "none")]
fn main() {
    assert_eq!(flux::spawn(by_two(1)).join().unwrap(), 3);
    assert_eq!(flux::spawn(by_three(1)).join().unwrap(), 4);
}
