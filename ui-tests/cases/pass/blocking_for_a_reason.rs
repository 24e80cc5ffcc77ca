//! A function that says why may block.

use std::time::Duration;

#[flux::fiber(blocking_ok = "shows that it may, for a millisecond")]
fn naps() {
    std::thread::sleep(Duration::from_millis(1));
}

#[flux::main(core = "none", blocking_ok = "reads its own name before anything runs")]
fn main() {
    let own = std::env::current_exe().unwrap();
    assert!(std::fs::metadata(own).is_ok());
    flux::spawn(naps()).join().unwrap();
}
