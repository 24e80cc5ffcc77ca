#[flux::fiber]
fn handler() {
    use std::thread::sleep as nap;
    nap(std::time::Duration::from_millis(1));
}

fn main() {
    let _handle = flux::spawn(handler());
}
