#[flux::main(stacks(small = "64"))]
fn main() {}
