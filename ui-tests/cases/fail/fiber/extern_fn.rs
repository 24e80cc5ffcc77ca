#[flux::fiber]
extern "C" fn callback(value: u32) -> u32 {
    value
}

fn main() {
    let _handle = flux::spawn(callback(0));
}
