#[flux::fiber]
fn keep(first: [u8; 100], second: [u8; 100]) -> u8 {
    first[0] + second[0]
}

fn main() {
    let _handle = flux::spawn(keep([0; 100], [0; 100]));
}
