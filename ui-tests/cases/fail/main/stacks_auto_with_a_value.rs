#[flux::main(stacks(auto = 3))]
fn main() {}
