#[flux::fiber]
fn count(limit: u32) -> u64 {
    if limit == 0 {
        return "none";
    }
    limit
}

fn main() {
    let _handle = flux::spawn(count(1));
}
