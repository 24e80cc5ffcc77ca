//! Printing is allowed, and so is what only looks at the process.

#[flux::main(core = "none")]
fn main() {
    println!("process {}", std::process::id());
    eprintln!("{:?}", std::env::args().next());
}
