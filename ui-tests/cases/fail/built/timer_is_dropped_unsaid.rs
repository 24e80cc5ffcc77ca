// A timer that is dropped is cancelled.
#![deny(unused_must_use)]

use std::time::Duration;

#[flux::main]
fn main() {
    flux::timer::every(Duration::from_secs(1)).callback(|_| println!("beat")).unwrap();
}
