#[flux::main(stall = "10ms")]
fn main() {}
