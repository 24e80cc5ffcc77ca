#[flux::main(idle = "spin 0us")]
fn main() {}
