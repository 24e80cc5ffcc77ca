//! Recursion: the body names the function that makes it.

#[flux::fiber(stack = "small")]
fn leaves(depth: u32) -> u32 {
    if depth == 0 {
        return 1;
    }
    let left = flux::spawn(leaves(depth - 1));
    let right = flux::spawn(leaves(depth - 1));
    left.join().unwrap_or(0) + right.join().unwrap_or(0)
}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    assert_eq!(flux::spawn(leaves(4)).join()?, 16);
    Ok(())
}
