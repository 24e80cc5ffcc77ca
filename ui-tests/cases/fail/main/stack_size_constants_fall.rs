mod limits {
    pub const N: usize = 32 * 1024;
}

#[flux::main(stack_sizes(medium = limits::N))]
fn main() {}
