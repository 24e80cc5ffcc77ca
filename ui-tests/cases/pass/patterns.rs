//! Patterns, `mut`, attributes of arguments, and names that the generated code might have used.

struct Order {
    price: u64,
    size: u64,
}

#[flux::fiber]
fn total(
    Order { price, size }: Order,
    mut factor: u64,
    [first, .., last]: [u64; 3],
    whole @ (left, _): (u64, u64),
    ref borrowed: u64,
    _: &'static str,
    #[allow(unused_variables)] unused: u8,
    #[cfg(any())] absent: NoSuchType,
    r#type: u64,
) -> u64 {
    factor += 1;
    price * size * factor + first + last + left + whole.1 + *borrowed + r#type
}

#[flux::fiber]
fn r#match(_argument_0: u32, (a, b): (u32, u32), argument_1: u32) -> [u32; 4] {
    [_argument_0, a, b, argument_1]
}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    let order = Order { price: 2, size: 3 };
    let sum = flux::spawn(total(order, 1, [10, 0, 20], (100, 200), 1000, "x", 0, 5)).join()?;
    assert_eq!(sum, 12 + 30 + 300 + 1000 + 5);
    assert_eq!(flux::spawn(r#match(1, (2, 3), 4)).join()?, [1, 2, 3, 4]);
    Ok(())
}
