#[flux::main("epoll")]
fn main() {}
