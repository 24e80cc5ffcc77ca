#[flux::fiber(max = "64")]
fn handler(value: u32) -> u32 {
    value
}

fn main() {
    let _handle = flux::spawn(handler(1));
}
