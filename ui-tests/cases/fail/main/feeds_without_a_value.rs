#[flux::main(feeds)]
fn main() {}
