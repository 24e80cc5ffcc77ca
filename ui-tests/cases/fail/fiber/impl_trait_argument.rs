#[flux::fiber]
fn copy(from: impl Iterator<Item = u8>) -> usize {
    from.count()
}

fn main() {
    let _handle = flux::spawn(copy([1].into_iter()));
}
