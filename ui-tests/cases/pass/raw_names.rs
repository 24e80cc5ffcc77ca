//! Names that are keywords.

#[flux::fiber(stack = "small")]
fn r#type(r#match: u32, mut r#loop: u32) -> u32 {
    r#loop += r#match;
    r#loop
}

#[flux::main(core = "none")]
fn main() {
    let fiber = r#type(1, 2);
    assert_eq!(fiber.name(), "type");
    assert_eq!(flux::spawn(fiber).join().unwrap(), 3);
}
