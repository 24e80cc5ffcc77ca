#[flux::test]
fn waits<T>() {}

fn main() {}
