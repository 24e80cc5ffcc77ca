#[flux::main(stack_sizes(small = 65536))]
fn main() {}
