mod limits {
    pub const N: usize = 0;
}

#[flux::main(fibers = limits::N)]
fn main() {}
