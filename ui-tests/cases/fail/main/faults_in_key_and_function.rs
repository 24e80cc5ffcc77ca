#[flux::main(engine = "uring")]
async fn main() {}
