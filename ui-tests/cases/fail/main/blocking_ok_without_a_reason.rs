#[flux::main(blocking_ok)]
fn main() {}
