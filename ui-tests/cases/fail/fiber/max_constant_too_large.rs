const MAX: usize = 1 << 40;

#[flux::fiber(max = MAX)]
fn handler(value: u32) -> u32 {
    value
}

fn main() {
    let _handle = flux::spawn(handler(1));
}
