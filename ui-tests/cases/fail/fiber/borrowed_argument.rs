#[flux::fiber]
fn follow(symbol: &str) -> usize {
    symbol.len()
}

fn main() {
    let _handle = flux::spawn(follow("BTC"));
}
