#[flux::main(core = 3.5)]
fn main() {}
