#[flux::main(core = b"3")]
fn main() {}
