#[flux::fiber(stack = "tiny", max = 3)]
async fn handler(name: &str) -> usize {
    name.len()
}

fn main() {
    let _handle = flux::spawn(handler("x"));
}
