#[flux::main(engine = "epoll" core = 3)]
fn main() {}
