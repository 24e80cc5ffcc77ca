#[flux::main(grace = "soon")]
fn main() {}
