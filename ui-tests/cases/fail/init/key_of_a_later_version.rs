fn main() {
    let reactor = flux::init!(timers = 256);
    drop(reactor);
}
