#[flux::fiber]
fn make(id: u32) -> [u32; 1024] {
    [id; 1024]
}

fn main() {
    let _handle = flux::spawn(make(1));
}
