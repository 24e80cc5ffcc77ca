//! Every key of `#[flux::main]`, with constants where a number may be one.

mod limits {
    pub const SMALL: usize = 12;
}

#[flux::main(
    engine = "auto",
    core = "none",
    idle = "spin 50us",
    stacks(small = limits::SMALL, medium = 4, large = 2),
    fibers = 0x10,
    timers = 32,
    grace = "250ms",
)]
fn main() -> std::io::Result<()> {
    let answer = flux::spawn(|| 42).join()?;
    assert_eq!(answer, 42);
    Ok(())
}
