const GRACE: u64 = 5;

#[flux::main(grace = GRACE)]
fn main() {}
