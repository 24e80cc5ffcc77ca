#[flux::fiber]
fn handler() {
    let second = std::time::Duration::from_secs(1);
    drop(flux::timeout(second, || std::thread::sleep(second)));
}

fn main() {
    let _handle = flux::spawn(handler());
}
