#![deny(unused_variables, unused_mut)]

#[flux::fiber]
fn follow(feed: u32, mut limit: u32) -> u32 {
    limit
}

fn main() {
    let _handle = flux::spawn(follow(1, 2));
}
