#[flux::test]
async fn waits() {}

fn main() {}
