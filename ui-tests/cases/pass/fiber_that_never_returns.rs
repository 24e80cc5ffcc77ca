//! A result `!` is `Infallible`, which has no value.

use std::convert::Infallible;

#[flux::fiber(stack = "small")]
fn gives_up() -> ! {
    panic!("on purpose")
}

#[flux::main(core = "none")]
fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let ended: Result<Infallible, _> = flux::spawn(gives_up()).join();
    assert_eq!(ended.unwrap_err().panic_message(), Some("on purpose"));
}
