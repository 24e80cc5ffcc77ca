//! A constant wherever a number, a size or a duration may stand.

mod limits {
    use std::time::Duration;

    pub const COUNT: usize = 8;
    pub const SMALL_BYTES: usize = 32 * 1024;
    pub const FEED_BYTES: usize = 64 * 1024;
    pub const GRACE: Duration = Duration::from_millis(250);
}

#[flux::main(
    core = "none",
    stacks(small = limits::COUNT, medium = limits::COUNT, large = limits::COUNT),
    stack_sizes(small = limits::SMALL_BYTES),
    fibers = limits::COUNT,
    feeds = limits::COUNT,
    feed_buffer = limits::FEED_BYTES,
    timers = limits::COUNT,
    grace = limits::GRACE,
)]
fn main() {
    let stats = flux::stats();
    assert_eq!(stats.fibers_max, limits::COUNT);
    assert_eq!(stats.stacks.map(|pool| pool.count), [limits::COUNT; 3]);
}
