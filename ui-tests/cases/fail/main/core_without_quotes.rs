#[flux::main(core = auto)]
fn main() {}
