// A callback has 64 bytes for what it captures.
use std::time::Duration;

#[flux::main]
fn main() {
    let prices = [0.0_f64; 100];
    let report = flux::timer::after(Duration::from_millis(1))
        .callback(move |_| println!("{}", prices[0]));
    drop(report);
}
