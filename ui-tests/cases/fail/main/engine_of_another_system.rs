#[flux::main(engine = "kqueue")]
fn main() {}
