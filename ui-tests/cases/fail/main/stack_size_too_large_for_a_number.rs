#[flux::main(stack_sizes(large = "99999999999GiB"))]
fn main() {}
