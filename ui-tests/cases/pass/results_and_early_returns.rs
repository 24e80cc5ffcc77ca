//! `?` and `return` leave the fiber, not its caller; every kind of result passes.

#[flux::fiber]
fn parse(text: String) -> Result<u32, std::num::ParseIntError> {
    let value: u32 = text.parse()?;
    if value > 100 {
        return Ok(100);
    }
    Ok(value)
}

#[flux::fiber]
fn find(values: Vec<u32>, wanted: u32) -> Option<usize> {
    for (index, value) in values.iter().enumerate() {
        if *value == wanted {
            return Some(index);
        }
    }
    None
}

#[flux::fiber]
fn nothing(stop: bool) {
    if stop {
        return;
    }
    panic!("it had to stop");
}

#[flux::fiber]
fn forever(text: String) -> ! {
    panic!("{text}");
}

#[flux::main(core = "none")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(flux::spawn(parse("7".into())).join()?, Ok(7));
    assert_eq!(flux::spawn(parse("700".into())).join()?, Ok(100));
    assert!(flux::spawn(parse("x".into())).join()?.is_err());
    assert_eq!(flux::spawn(find(vec![4, 5], 5)).join()?, Some(1));
    flux::spawn(nothing(true)).join()?;
    // Made and dropped: it would panic, which is another test's business.
    drop(forever("never runs".into()));
    Ok(())
}
