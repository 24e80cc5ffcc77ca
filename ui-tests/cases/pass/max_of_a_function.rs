//! `max` holds back a spawn, and hands back the fiber of a `try_spawn`.

#[flux::fiber(stack = "small", max = 2)]
fn handler(value: u32) -> u32 {
    flux::yield_now().unwrap();
    value
}

#[flux::main(core = "none")]
fn main() {
    let first = flux::spawn(handler(1));
    let second = flux::spawn(handler(2));
    let full = flux::try_spawn(handler(3)).unwrap_err();
    let third = flux::spawn(full.into_inner());
    let all = [first, second, third].map(|handle| handle.join().unwrap());
    assert_eq!(all, [1, 2, 3]);
}
