#[flux::main(fibers = 99999999)]
fn main() {}
