#[flux::fiber]
fn first(names: &[String]) -> &str {
    &names[0]
}

fn main() {
    let _handle = flux::spawn(first(&[]));
}
