#[flux::main(stack_sizes(small = "4KiB"))]
fn main() {}
