#[flux::main(stacks = "auto")]
fn main() {}
