#[flux::fiber]
fn show<T: std::fmt::Debug>(value: T) {
    println!("{value:?}");
}

fn main() {
    let text = String::from("on this stack");
    let _handle = flux::spawn(show(text.as_str()));
}
