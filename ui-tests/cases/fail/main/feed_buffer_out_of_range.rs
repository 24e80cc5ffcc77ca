#[flux::main(feed_buffer = "4KiB")]
fn main() {}
