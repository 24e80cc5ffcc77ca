#[flux::fiber]
unsafe extern "C" fn handler(value: u32, rest: ...) -> u32 {
    value
}

fn main() {}
