#[flux::fiber]
fn handler() {
    let worker = std::thread::spawn(|| 1);
    worker.join().unwrap();
}

fn main() {
    let _handle = flux::spawn(handler());
}
