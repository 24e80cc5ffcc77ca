//! A generic function has one `max`, whatever its parameters are.

const ONE: usize = 1;

#[flux::fiber(stack = "small", max = ONE)]
fn give<T>(value: T) -> T {
    value
}

#[flux::main(core = "none")]
fn main() {
    let number = flux::spawn(give(1));
    assert!(flux::try_spawn(give("one")).is_err());
    assert_eq!(number.join().unwrap(), 1);
    assert_eq!(flux::spawn(give("one")).join().unwrap(), "one");
}
