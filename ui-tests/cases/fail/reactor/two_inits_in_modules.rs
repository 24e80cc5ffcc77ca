mod first {
    pub fn start() {
        let _reactor = flux::init!();
    }
}

mod second {
    pub fn start() {
        let _reactor = flux::init!();
    }
}

fn main() {
    first::start();
    second::start();
}
