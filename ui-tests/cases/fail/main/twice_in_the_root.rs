#[flux::main]
fn main() {}

#[flux::main]
fn main() {}
