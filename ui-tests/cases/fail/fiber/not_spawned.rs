#![deny(unused_must_use)]

#[flux::fiber]
fn follow(feed: u32) -> u32 {
    feed
}

fn main() {
    follow(1);
}
