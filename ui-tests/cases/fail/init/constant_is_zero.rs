const FIBERS: usize = 0;

fn main() {
    let _reactor = flux::init!(fibers = FIBERS);
}
