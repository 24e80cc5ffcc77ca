#[flux::main(stack_sizes(large = "MiB"))]
fn main() {}
