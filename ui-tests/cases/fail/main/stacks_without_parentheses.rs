#[flux::main(stacks)]
fn main() {}
