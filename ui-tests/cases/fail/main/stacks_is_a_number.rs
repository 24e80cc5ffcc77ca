#[flux::main(stacks = 64)]
fn main() {}
