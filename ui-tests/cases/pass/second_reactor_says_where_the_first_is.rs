//! Where the macro does not see it, a second reactor is an error that says where the first was made.

fn elsewhere() -> String {
    flux::Config::new().run(|| ()).unwrap_err().to_string()
}

#[flux::main(core = "none")]
fn main() {
    let error = elsewhere();
    let place = format!("{}:7", file!());
    assert!(error.contains(&place), "{error} does not name {place}");
}
