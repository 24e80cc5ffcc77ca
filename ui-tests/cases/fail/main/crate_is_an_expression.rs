#[flux::main(crate = 1 + 2)]
fn main() {}
