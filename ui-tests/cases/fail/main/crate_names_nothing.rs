#[flux::main(crate = not_there)]
fn main() {}
