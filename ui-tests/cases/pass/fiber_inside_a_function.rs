//! A fiber may stand in a body, and two of the same name in two bodies.

fn first() -> u32 {
    #[flux::fiber(stack = "small", max = 1)]
    fn work() -> u32 {
        1
    }
    flux::spawn(work()).join().unwrap()
}

fn second() -> u32 {
    #[flux::fiber(stack = "small")]
    fn work() -> u32 {
        2
    }
    flux::spawn(work()).join().unwrap()
}

#[flux::main(core = "none")]
fn main() {
    assert_eq!((first(), second()), (1, 2));
}
