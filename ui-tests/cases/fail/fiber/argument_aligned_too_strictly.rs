#[repr(align(128))]
struct Strict(u8);

#[flux::fiber()]
fn handler(value: Strict) -> u32 {
    u32::from(value.0)
}

fn main() {
    let _handle = flux::spawn(handler(Strict(1)));
}
