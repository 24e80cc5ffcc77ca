#[flux::main(fibers = 99999999999999999999999)]
fn main() {}
