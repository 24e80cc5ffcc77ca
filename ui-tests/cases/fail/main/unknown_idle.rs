#[flux::main(idle = "sleep")]
fn main() {}
