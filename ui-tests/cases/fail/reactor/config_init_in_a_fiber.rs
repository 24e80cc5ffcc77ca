#[flux::fiber]
fn handler() {
    use flux::Config;
    let config = Config::new();
    drop(config.init());
}

fn main() {
    let _handle = flux::spawn(handler());
}
