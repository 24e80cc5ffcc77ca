#[flux::main(core = "non")]
fn main() {}
