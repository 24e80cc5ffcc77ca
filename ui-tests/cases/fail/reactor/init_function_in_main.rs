#[flux::main]
fn main() {
    drop(flux::init(flux::EventEngine::Auto));
}
