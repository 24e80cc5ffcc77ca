#[flux::test]
#[test]
fn waits() {}

fn main() {}
