//! What a thread of its own runs may block.

use std::time::Duration;

#[flux::main(core = "none")]
fn main() {
    let (done, told) = std::sync::mpsc::channel();
    drop(std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1));
        drop(std::fs::metadata("."));
        done.send(42).unwrap();
    }));
    let answer = loop {
        match told.try_recv() {
            Ok(answer) => break answer,
            Err(_) => flux::time::sleep(Duration::from_micros(100)).unwrap(),
        }
    };
    assert_eq!(answer, 42);
}
