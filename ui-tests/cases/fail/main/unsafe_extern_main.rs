#[flux::main]
unsafe extern "C" fn main() {}
