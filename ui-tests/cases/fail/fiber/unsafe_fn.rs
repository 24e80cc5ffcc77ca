#[flux::fiber]
unsafe fn read(from: usize) -> u8 {
    unsafe { *(from as *const u8) }
}

fn main() {
    let _handle = flux::spawn(read(0));
}
