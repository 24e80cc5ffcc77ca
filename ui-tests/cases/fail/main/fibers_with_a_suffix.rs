#[flux::main(fibers = 3u8)]
fn main() {}
