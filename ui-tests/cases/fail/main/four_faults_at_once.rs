#[flux::main(engin = "epoll", core = "3", stacks(large = 0), idle = "blocks")]
fn main() {}
