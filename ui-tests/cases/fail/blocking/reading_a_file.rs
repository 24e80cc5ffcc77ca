#[flux::fiber]
fn handler() {
    let text = std::fs::read_to_string("/etc/hostname");
    drop(text);
}

fn main() {
    let _handle = flux::spawn(handler());
}
