#[flux::fiber]
fn handler() {
    drop(flux::init!());
}

fn main() {
    let _handle = flux::spawn(handler());
}
