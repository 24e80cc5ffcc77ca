#[flux::main(stacks(large = 0))]
fn main() {}
