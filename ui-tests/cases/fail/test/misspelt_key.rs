#[flux::test(fibres = 3)]
fn waits() {}

fn main() {}
