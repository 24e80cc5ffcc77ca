const CORE: u8 = 3;

#[flux::main(core = CORE)]
fn main() {}
