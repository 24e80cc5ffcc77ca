#[flux::main]
const fn main() {
    println!("at run time");
}
