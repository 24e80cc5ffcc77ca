#[flux::main(engine = "uring")]
fn main() {}
