//! The macros' limits are those of the runtime: a number that one of them takes and the other refuses would be an
//! error in the wrong place.

#[path = "../../flux-macros/src/limits.rs"]
mod limits;

use flux::{Config, Core, StackClass};
use limits::{
    COUNT_MAX, FEED_BYTES_MAX, FEED_BYTES_MIN, FEEDS_MAX, PAGE_BYTES, STACK_BYTES, STACK_BYTES_MAX,
    STACK_BYTES_MIN,
};

/// What init says of a number that is just too large, or too small.
#[track_caller]
fn refused(config: Config, limits: &[usize]) {
    let said = match config.core(Core::None).init() {
        Ok(_) => panic!("it is accepted"),
        Err(error) => error.to_string(),
    };
    for limit in limits {
        assert!(said.contains(&limit.to_string()), "{limit}: {said}");
    }
}

#[test]
fn what_is_beyond_a_limit_of_the_macros_is_beyond_that_of_the_runtime() {
    let config = Config::new;
    refused(config().fibers(COUNT_MAX + 1), &[COUNT_MAX]);
    refused(config().timers(COUNT_MAX + 1), &[COUNT_MAX]);
    refused(
        config().stacks(StackClass::Small, COUNT_MAX + 1),
        &[COUNT_MAX],
    );
    refused(config().feeds(FEEDS_MAX + 1), &[FEEDS_MAX]);
    let stacks = [STACK_BYTES_MIN, STACK_BYTES_MAX];
    refused(
        config().stack_size(StackClass::Small, STACK_BYTES_MIN - 1),
        &stacks,
    );
    refused(
        config().stack_size(StackClass::Large, STACK_BYTES_MAX + 1),
        &stacks,
    );
    let feeds = [FEED_BYTES_MIN, FEED_BYTES_MAX];
    refused(config().feed_buffer(FEED_BYTES_MIN - PAGE_BYTES), &feeds);
    refused(config().feed_buffer(FEED_BYTES_MAX + PAGE_BYTES), &feeds);
    refused(config().feed_buffer(FEED_BYTES_MIN + PAGE_BYTES / 2), &[]);
}

#[test]
fn the_sizes_that_the_macros_presume_are_those_of_the_runtime() {
    let shown = format!("{:?}", Config::new());
    let classes = StackClass::ALL.map(StackClass::name);
    assert_eq!(STACK_BYTES.map(|(name, _)| name), classes);
    for (name, bytes) in STACK_BYTES {
        assert!(
            shown.contains(&format!("bytes: {bytes} }}")),
            "{name}: {shown}"
        );
    }
}
