const FIBERS: usize = 0;
const BUFFER: usize = 1;

#[flux::main(fibers = FIBERS, feed_buffer = BUFFER)]
fn main() {}
