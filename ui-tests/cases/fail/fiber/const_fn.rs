#[flux::fiber]
const fn zero() -> u32 {
    0
}

fn main() {
    let _handle = flux::spawn(zero());
}
