#[flux::fiber]
fn handler() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

fn main() {
    let _handle = flux::spawn(handler());
}
