mod limits {
    pub const N: usize = 1 << 30;
}

#[flux::main(timers = limits::N)]
fn main() {}
