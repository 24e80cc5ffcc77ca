#[flux::main]
fn main(arguments: Vec<String>) {
    println!("{arguments:?}");
}
