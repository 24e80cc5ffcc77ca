mod limits {
    pub const N: usize = 4096;
}

#[flux::main(feed_buffer = limits::N)]
fn main() {}
