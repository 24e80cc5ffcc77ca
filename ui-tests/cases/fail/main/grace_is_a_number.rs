#[flux::main(grace = 5)]
fn main() {}
