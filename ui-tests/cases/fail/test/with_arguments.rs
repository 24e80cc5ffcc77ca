#[flux::test]
fn waits(value: u32) {
    drop(value);
}

fn main() {}
