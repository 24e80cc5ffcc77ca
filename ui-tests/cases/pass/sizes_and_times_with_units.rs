//! Every unit there is.

#[flux::main(
    core = "none",
    idle = "spin 500ns",
    stack_sizes(small = "65536B", medium = "128KiB", large = "2MiB"),
    feeds = 1,
    feed_buffer = "1MiB",
    grace = "5s",
)]
fn main() {}
