#[flux::fiber]
fn follow(symbols: Vec<&str>, name: std::borrow::Cow<'_, str>) -> usize {
    symbols.len() + name.len()
}

fn main() {
    let _handle = flux::spawn(follow(vec!["BTC"], "x".into()));
}
