//! `?` on errors of several kinds.

#[flux::main(core = "none")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number: u32 = flux::spawn(|| "42".parse()).join()??;
    flux::yield_now()?;
    assert_eq!(number, 42);
    Ok(())
}
