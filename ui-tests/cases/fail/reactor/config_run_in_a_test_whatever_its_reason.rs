#[flux::test(blocking_ok = "it waits for nothing")]
fn nested() {
    flux::Config::new().run(|| 1).unwrap();
}

fn main() {}
