//! `flux::init!` is an expression; the function of the same name is another thing.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reactor = flux::init!(engine = "auto", core = "none", stacks(small = 16), fibers = 32)?;
    let answer = reactor.run(|| flux::spawn(|| 6 * 7).join())??;
    assert_eq!(answer, 42);
    Ok(())
}
