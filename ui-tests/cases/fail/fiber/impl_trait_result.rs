#[flux::fiber]
fn numbers() -> impl Iterator<Item = u8> {
    0..9
}

fn main() {
    let _handle = flux::spawn(numbers());
}
