// Only `cargo build` knows what `T` is, so this directory is built, not checked.

#[flux::fiber]
fn keep<T: Copy>(value: T) -> T {
    value
}

fn main() {
    let _fiber = keep([0u8; 4096]);
}
