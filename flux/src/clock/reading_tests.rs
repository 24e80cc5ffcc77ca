#![allow(
    clippy::disallowed_methods,
    reason = "a test that waits for seconds to pass lets the others have the core"
)]

use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::monotonic_ns;

const SECOND: u64 = 1_000_000_000;

/// Clocks that a test moves by hand; the counter runs at 1 GHz, and each reading of it takes 20 counts.
#[derive(Clone, Debug, Default)]
struct Script(Rc<ScriptState>);

#[derive(Debug, Default)]
struct ScriptState {
    counter: Cell<u64>,
    ns: Cell<u64>,
    reads: Cell<u64>,
}

impl Readings for Script {
    fn counter(&self) -> u64 {
        self.pass(20, 20);
        self.0.reads.set(self.0.reads.get() + 1);
        self.0.counter.get()
    }

    fn monotonic_ns(&self) -> u64 {
        self.pass(5, 5);
        self.0.ns.get()
    }
}

impl Script {
    fn pass(&self, counts: u64, ns: u64) {
        self.0
            .counter
            .set(self.0.counter.get().wrapping_add(counts));
        self.0.ns.set(self.0.ns.get().saturating_add(ns));
    }

    fn truth(&self) -> u64 {
        self.0.ns.get()
    }
}

fn scripted() -> (Script, Clock<Script>) {
    let script = Script::default();
    script.pass(12_345, 10 * SECOND);
    let first = best_pair(&script, 1);
    script.pass(SECOND, SECOND);
    let rate = Rate::between(first, best_pair(&script, 1));
    let clock = Clock::reading(script.clone(), rate);
    assert_eq!(clock.source(), Source::Counter);
    (script, clock)
}

#[track_caller]
fn expect_close(answer: u64, truth: u64) {
    assert!(answer.abs_diff(truth) <= 50, "{answer}, of {truth}");
}

#[test]
fn calibration_finds_the_rate() {
    let (script, clock) = scripted();
    assert_eq!(calibrate(&script), clock.rate.get());
    assert!((clock.cycles_per_us() - 1000.0).abs() < 0.001);
    expect_close(clock.precise(), script.truth());
}

#[test]
fn a_counter_that_stands_still_has_no_rate() {
    #[derive(Debug)]
    struct Stuck(Cell<u64>);
    impl Readings for Stuck {
        fn counter(&self) -> u64 {
            7
        }
        fn monotonic_ns(&self) -> u64 {
            self.0.set(self.0.get() + 1_000);
            self.0.get()
        }
    }
    let stuck = Stuck(Cell::new(0));
    assert_eq!(calibrate(&stuck), None);
    let clock = Clock::reading(stuck, None);
    assert_eq!(clock.source(), Source::Monotonic);
    assert!(clock.precise() < clock.precise());
}

#[test]
fn the_cached_time_stands_until_it_is_refreshed() {
    let (script, clock) = scripted();
    let first = clock.refresh();
    script.pass(500, 500);
    assert_eq!(clock.cached(), first);
    let precise = clock.precise();
    assert!(precise >= first + 500);
    assert_eq!(clock.cached(), first);
    assert!(clock.refresh() >= precise);
    assert!(clock.cached() >= precise);
    let before = clock.cached();
    clock.forget();
    assert!(clock.cached() > before, "it was read anew");
}

#[test]
fn a_new_clock_has_a_cached_time() {
    let (script, clock) = scripted();
    expect_close(clock.cached(), script.truth());
}

#[test]
fn the_clocks_are_compared_once_a_second_and_not_in_between() {
    let (script, clock) = scripted();
    clock.precise();
    let before = script.0.reads.get();
    for _ in 0..1_000 {
        clock.precise();
    }
    assert_eq!(script.0.reads.get() - before, 1_000);
    script.pass(SECOND, SECOND);
    clock.precise();
    assert!(script.0.reads.get() - before > 1_001 + u64::from(TRIES));
}

#[test]
fn what_a_count_is_worth_is_as_last_measured() {
    let (script, clock) = scripted();
    script.pass(SECOND, SECOND + 100_000);
    clock.precise();
    let expected = 1000.0 / 1.0001;
    assert!((clock.cycles_per_us() - expected).abs() < 0.001);
}

#[test]
fn a_suspension_shows_in_neither_direction() {
    let (script, clock) = scripted();
    // The counter ran on, and the monotonic clock did not.
    script.pass(3_600 * SECOND, 0);
    expect_close(clock.precise(), script.truth());
    // The monotonic clock ran on, and the counter began again.
    script.0.counter.set(0);
    script.pass(0, 5 * SECOND);
    expect_close(clock.refresh(), script.truth());
    script.pass(100, 100);
    expect_close(clock.precise(), script.truth());
    assert_eq!(clock.source(), Source::Counter);
}

#[test]
fn time_that_ran_ahead_stands_still_until_it_is_true() {
    let (script, clock) = scripted();
    // Within the second that the line holds for.
    script.pass(SECOND / 2, 0);
    let ahead = clock.precise();
    assert!(ahead > script.truth() + SECOND / 3);
    script.pass(SECOND / 2 + 1_000, 0);
    assert_eq!(clock.precise(), ahead);
    script.pass(1_000, 1_000);
    assert_eq!(clock.precise(), ahead);
    script.pass(SECOND / 2, SECOND / 2);
    assert!(clock.precise() > ahead);
    expect_close(clock.precise(), script.truth());
}

#[test]
fn a_bad_counter_is_given_up_for_good_and_cycles_stay_counts() {
    let (script, clock) = scripted();
    let mut last = clock.refresh();
    for _ in 0..4 {
        script.0.counter.set(script.0.counter.get() - 12_000);
        script.pass(0, 100);
        assert!(clock.refresh() >= last);
        last = clock.cached();
    }
    assert_eq!(clock.source(), Source::Monotonic);
    for _ in 0..100 {
        script.pass(SECOND, SECOND);
        expect_close(clock.precise(), script.truth());
    }
    assert_eq!(clock.source(), Source::Monotonic);
    let counts = clock.cycles();
    assert_eq!(counts, script.0.counter.get());
    assert!((clock.cycles_per_us() - 1000.0).abs() < 0.001);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn time_never_goes_back_whatever_the_clocks_do(
        steps in prop::collection::vec(
            (
                prop_oneof![0..2_000_000_000_u64, any::<u64>()],
                prop_oneof![0..2_000_000_000_u64, 0..=u64::MAX / 4],
            ),
            1..60,
        ),
    ) {
        let (script, clock) = scripted();
        let mut last = clock.precise();
        for (counts, ns) in steps {
            script.pass(counts, ns);
            let (cached, before) = (clock.cached(), last);
            last = clock.precise();
            prop_assert!(last >= before);
            prop_assert_eq!(clock.cached(), cached);
            last = clock.refresh();
            prop_assert!(last >= before);
        }
    }

    #[test]
    fn a_counter_with_a_jitter_is_followed_to_a_microsecond_a_second(
        seconds in prop::collection::vec((-100_i64..=100, 0..900_000_u64), 2..40),
    ) {
        let (script, clock) = scripted();
        for (jitter_ppb, more_us) in seconds {
            let ns = SECOND + more_us * 1_000;
            script.pass(ns.saturating_add_signed(jitter_ppb), ns);
            let answer = clock.precise();
            prop_assert!(answer.abs_diff(script.truth()) < 1_000);
        }
        prop_assert_eq!(clock.source(), Source::Counter);
    }
}

/// By how much the clock is ahead of the system's, in nanoseconds: of many tries the one that says it best.
fn ahead(clock: &Clock) -> i64 {
    let mut best: Option<(u64, i64)> = None;
    for tries in 1.. {
        let before = monotonic_ns();
        let answer = clock.precise();
        let after = monotonic_ns();
        let width = after - before;
        let middle = before + width / 2;
        if best.is_none_or(|(least, _)| width < least) {
            best = Some((width, answer.cast_signed() - middle.cast_signed()));
        }
        // One that was interrupted says nothing.
        if let Some((width, ahead)) = best
            && tries >= 100
            && (width < 400 || tries >= 100_000)
        {
            return ahead;
        }
    }
    unreachable!("the number of tries ends it")
}

/// A million readings over three seconds and more: none before another, and the drift.
#[track_caller]
fn check_over_seconds(clock: &Clock, ahead_max_ns: i64) {
    const ROUNDS: u32 = 64;
    const READS: u32 = 16_384;
    let start = monotonic_ns();
    let first = ahead(clock);
    let mut last = clock.precise();
    for round in 0..ROUNDS {
        for _ in 0..READS {
            let now = clock.precise();
            assert!(now >= last);
            last = now;
        }
        let ahead = ahead(clock);
        let seconds = i64::try_from((monotonic_ns() - start) / SECOND).unwrap() + 1;
        assert!(
            (ahead - first).abs() < 1_000 * seconds && ahead.abs() < ahead_max_ns,
            "ahead by {ahead} ns in round {round}, after {first} ns at first"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(monotonic_ns() - start > 3 * SECOND);
}

#[test]
fn a_million_readings_go_forward_and_drift_by_less_than_a_microsecond_a_second() {
    let clock = Clock::new();
    let first_line = clock.line.get();
    check_over_seconds(&clock, 3_000);
    if Source::best() == Source::Counter {
        assert_eq!(clock.source(), Source::Counter);
        assert_ne!(clock.line.get(), first_line, "the clocks were compared");
    }
}

#[test]
fn the_systems_clock_serves_where_it_is_asked_for() {
    let clock = Clock::with_source(Source::Monotonic);
    assert_eq!(clock.source(), Source::Monotonic);
    let mut last = clock.refresh();
    for _ in 0..100_000 {
        let before = monotonic_ns();
        let now = clock.precise();
        assert!(now >= last && now >= before && now <= monotonic_ns());
        last = now;
    }
    let (before, cycles, after) = (monotonic_ns(), clock.cycles(), monotonic_ns());
    assert!(before <= cycles && cycles <= after, "nanoseconds");
    assert!((clock.cycles_per_us() - 1000.0).abs() < f64::EPSILON);
}

#[test]
fn a_second_clock_of_the_process_has_the_rate_of_the_first() {
    let first = Clock::new();
    let second = Clock::new();
    assert_eq!(first.rate.get(), second.rate.get());
    assert_eq!(first.source(), second.source());
}

#[test]
fn counts_come_to_the_time_that_passed() {
    let clock = Clock::new();
    let read = || (clock.precise(), clock.cycles(), clock.precise());
    let start = read();
    while clock.precise() - start.0 < 20_000_000 {
        std::hint::spin_loop();
    }
    let end = read();
    #[allow(clippy::cast_precision_loss, reason = "some milliseconds")]
    let us = |ns: u64| ns as f64 / 1_000.0;
    #[allow(clippy::cast_precision_loss, reason = "some milliseconds")]
    let counted = (end.1 - start.1) as f64 / clock.cycles_per_us();
    // However long this thread was stopped, the counts were read between the times.
    let (least, most) = (us(end.0 - start.2), us(end.2 - start.0));
    assert!(least * 0.99 < counted && counted < most * 1.01, "{counted}");
}

#[test]
fn every_source_has_a_name() {
    assert_ne!(Source::Counter.name(), Source::Monotonic.name());
    assert_eq!(Source::Monotonic.name(), "monotonic");
}
