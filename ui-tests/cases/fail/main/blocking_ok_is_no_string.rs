#[flux::main(blocking_ok = true)]
fn main() {}
