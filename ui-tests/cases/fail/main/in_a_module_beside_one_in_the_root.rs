mod other {
    #[flux::main]
    pub fn main() {}
}

#[flux::main]
fn main() {
    other::main();
}
