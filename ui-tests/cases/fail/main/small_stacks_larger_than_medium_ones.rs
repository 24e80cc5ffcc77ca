#[flux::main(stack_sizes(small = "512KiB"))]
fn main() {}
