mod limits {
    pub const N: usize = 1 << 30;
}

#[flux::main(fibers = limits::N)]
fn main() {}
