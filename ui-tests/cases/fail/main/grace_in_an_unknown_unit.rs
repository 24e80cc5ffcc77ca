#[flux::main(grace = "5min")]
fn main() {}
