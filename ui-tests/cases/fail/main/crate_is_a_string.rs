#[flux::main(crate = "flux")]
fn main() {}
