#[flux::main(engine = "epoll", fibers = 8, engine = "io_uring")]
fn main() {}
