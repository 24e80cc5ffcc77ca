#[flux::fiber]
fn handler() {
    std::thread::sleep(std::time::Duration::from_millis(1));
    drop(std::fs::read("/etc/hostname"));
}

fn main() {
    let _handle = flux::spawn(handler());
}
