#[flux::main(fibres = 64)]
fn main() {}
