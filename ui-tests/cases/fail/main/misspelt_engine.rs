#[flux::main(engine = "iouring")]
fn main() {}
