fn main() {
    let _reactor = flux::init!(blocking_ok = "it has no body");
}
