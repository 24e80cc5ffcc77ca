#[flux::main(grace = "1.5s")]
fn main() {}
