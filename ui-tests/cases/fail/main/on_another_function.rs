#[flux::main]
fn start() {}

fn main() {
    start();
}
