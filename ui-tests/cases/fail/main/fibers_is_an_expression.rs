#[flux::main(fibers = 1 + 2)]
fn main() {}
