#[flux::main(feed_buffer)]
fn main() {}
