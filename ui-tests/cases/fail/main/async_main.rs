#[flux::main]
async fn main() -> std::io::Result<()> {
    later().await;
    Ok(())
}

async fn later() {}
