#[flux::main(feed_buffer = "100000B")]
fn main() {}
