#[flux::main(stack_sizes(small = "64KB"))]
fn main() {}
