#[flux::main(core = '3')]
fn main() {}
