#[flux::main]
fn main() {
    flux::Config::new().fibers(8).run(|| 1).unwrap();
}
