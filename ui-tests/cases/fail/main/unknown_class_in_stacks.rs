#[flux::main(stacks(small = 64, huge = 2))]
fn main() {}
