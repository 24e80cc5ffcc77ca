mod limits {
    pub const N: usize = 1 << 30;
}

#[flux::main(stacks(small = limits::N))]
fn main() {}
