fn main() {
    let reactor = flux::init!(engine = "uring", core = 1.5);
    drop(reactor);
}
