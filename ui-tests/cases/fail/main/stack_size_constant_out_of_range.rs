mod limits {
    pub const N: usize = 4096;
}

#[flux::main(stack_sizes(small = limits::N))]
fn main() {}
