//! `flux::init!` with the crate under another name.

use flux as fibers;

fn main() {
    let reactor = fibers::init!(crate = fibers, core = "none", fibers = 8).unwrap();
    assert_eq!(reactor.run(|| 42).unwrap(), 42);
}
