#[flux::main(engine, core = 3)]
fn main() {}
