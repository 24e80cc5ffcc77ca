#[flux::main(, core = 1)]
fn main() {}
