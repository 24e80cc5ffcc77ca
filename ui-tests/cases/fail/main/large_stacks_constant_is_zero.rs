mod limits {
    pub const N: usize = 0;
}

#[flux::main(stacks(large = limits::N))]
fn main() {}
