mod limits {
    pub const N: usize = 100_000;
}

#[flux::main(feeds = limits::N)]
fn main() {}
