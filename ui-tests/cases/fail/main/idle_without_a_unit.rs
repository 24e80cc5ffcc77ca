#[flux::main(idle = "spin 50")]
fn main() {}
