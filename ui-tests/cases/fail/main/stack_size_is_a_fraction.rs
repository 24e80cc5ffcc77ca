#[flux::main(stack_sizes(large = "1.5MiB"))]
fn main() {}
