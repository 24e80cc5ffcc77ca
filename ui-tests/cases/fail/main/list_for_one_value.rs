#[flux::main(fibers(3))]
fn main() {}
