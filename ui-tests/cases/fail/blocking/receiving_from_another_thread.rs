#[flux::fiber]
fn handler() {
    let (tx, rx) = std::sync::mpsc::channel();
    tx.send(1).unwrap();
    rx.recv().unwrap();
}

fn main() {
    let _handle = flux::spawn(handler());
}
