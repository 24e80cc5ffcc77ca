//! Type parameters, constants, bounds in both places, and `Self`.

use std::fmt::Debug;

#[flux::fiber(stack = "small")]
fn show<T: Debug>(value: T) -> String {
    format!("{value:?}")
}

#[flux::fiber]
fn last<T, const N: usize>(values: [T; N]) -> Option<T>
where
    T: Copy + Send,
{
    let first = values.get(N.checked_sub(1)?)?;
    Some(*first)
}

#[flux::fiber]
fn call<F: FnOnce() -> R + 'static, R>(closure: F) -> R {
    closure()
}

struct Counter(u32);

impl Counter {
    #[flux::fiber]
    fn start(counter: Self, by: u32) -> Self {
        let Self(count) = counter;
        Self(count + by)
    }
}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    assert_eq!(flux::spawn(show(Some(1))).join()?, "Some(1)");
    assert_eq!(flux::spawn(last([1, 2, 3])).join()?, Some(3));
    assert_eq!(flux::spawn(last([0u8; 0])).join()?, None);
    assert_eq!(flux::spawn(call(|| 7)).join()?, 7);
    assert_eq!(flux::spawn(Counter::start(Counter(1), 2)).join()?.0, 3);
    Ok(())
}
