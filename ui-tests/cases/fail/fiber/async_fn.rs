#[flux::fiber]
async fn follow(feed: u32) -> u32 {
    next(feed).await
}

async fn next(feed: u32) -> u32 {
    feed
}

fn main() {
    let _handle = flux::spawn(follow(1));
}
