#[flux::main(engine "epoll")]
fn main() {}
