#[flux::test]
struct Waits;

fn main() {}
