fn main() {
    let reactor = flux::init!(stall = "10ms");
    drop(reactor);
}
