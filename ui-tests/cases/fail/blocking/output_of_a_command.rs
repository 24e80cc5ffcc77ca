#[flux::fiber]
fn handler() {
    drop(std::process::Command::new("true").arg("1").output());
}

fn main() {
    let _handle = flux::spawn(handler());
}
