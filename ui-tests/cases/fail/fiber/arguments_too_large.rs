#[flux::fiber]
fn keep(id: u32, frame: [u8; 4096]) -> u32 {
    id + u32::from(frame[0])
}

fn main() {
    let _handle = flux::spawn(keep(1, [0; 4096]));
}
