#[flux::main(stack_sizes)]
fn main() {}
