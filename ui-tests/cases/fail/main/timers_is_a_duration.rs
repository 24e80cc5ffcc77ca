// How many timers there are, not how long they take.
#[flux::main(timers = "10ms")]
fn main() {}
