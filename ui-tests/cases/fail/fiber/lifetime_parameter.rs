#[flux::fiber]
fn longest<'a>(one: &'a str, other: &'a str) -> &'a str {
    if one.len() > other.len() { one } else { other }
}

fn main() {
    let _handle = flux::spawn(longest("a", "b"));
}
