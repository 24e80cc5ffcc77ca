#[flux::main(feeds = 40000)]
fn main() {}
