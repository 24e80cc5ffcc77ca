mod start {
    #[flux::main]
    pub fn main() {}
}

fn main() {
    start::main();
}
