#[flux::main(grace = "99999999999s")]
fn main() {}
