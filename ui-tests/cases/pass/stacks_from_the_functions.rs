//! `stacks(auto)` makes as many as the functions may need, and one for `main`.

#[flux::fiber(stack = "small", max = 64)]
fn handler() {}

#[flux::fiber(stack = "small", max = 8)]
fn quoter() {}

#[flux::fiber(stack = "medium")]
fn unbounded() {}

#[flux::main(core = "none", stacks(auto, medium = 3))]
fn main() {
    let counts = flux::stats().stacks.map(|pool| pool.count);
    assert_eq!(counts, [72, 3, 1]);
    for handle in [flux::spawn(handler()), flux::spawn(quoter())] {
        handle.join().unwrap();
    }
    flux::spawn(unbounded()).join().unwrap();
}
