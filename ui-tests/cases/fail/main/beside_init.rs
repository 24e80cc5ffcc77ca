fn second() {
    let _reactor = flux::init!();
}

#[flux::main]
fn main() {
    second();
}
