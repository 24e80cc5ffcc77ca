fn first() {
    let _reactor = flux::init!();
}

fn second() {
    let _reactor = flux::init!();
}

fn main() {
    first();
    second();
}
