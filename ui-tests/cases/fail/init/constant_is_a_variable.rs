fn main() {
    let fibers = 3;
    let _reactor = flux::init!(fibers = fibers);
}
