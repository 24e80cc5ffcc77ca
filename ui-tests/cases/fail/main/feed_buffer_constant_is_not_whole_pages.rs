mod limits {
    pub const N: usize = 100_000;
}

#[flux::main(feed_buffer = limits::N)]
fn main() {}
