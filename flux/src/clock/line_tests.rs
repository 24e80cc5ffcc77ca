use super::*;

/// A counter of 2 GHz: half a nanosecond a count.
const GHZ_2: Rate = Rate(1 << (PLACES - 1));
const SECOND: u64 = 1_000_000_000;
/// The counts of a second.
const COUNTS: u64 = 2 * SECOND;

fn pair(counter: u64, ns: u64) -> Pair {
    Pair {
        counter,
        ns,
        width: 100,
    }
}

fn line() -> Line {
    Line::new(pair(1_000, 500_000), GHZ_2)
}

/// The line after a second of which the monotonic clock says that it was so many nanoseconds longer.
#[track_caller]
fn a_second_later(line: Line, by_ns: i64) -> Line {
    let ns = (line.pair.ns + SECOND).saturating_add_signed(by_ns);
    line.next(pair(line.pair.counter + COUNTS, ns))
        .expect("the counter is of use")
}

#[test]
fn a_line_holds_for_a_second_and_says_so() {
    let line = line();
    assert_eq!(line.at(1_000), Some(500_000));
    assert_eq!(line.at(1_001), Some(500_000));
    assert_eq!(line.at(1_002), Some(500_001));
    assert_eq!(line.at(1_000 + COUNTS - 1), Some(500_000 + SECOND - 1));
    assert_eq!(line.at(1_000 + COUNTS), None);
    assert_eq!(line.at(999), None, "the counter went back");
    assert_eq!(line.at(u64::MAX), None);
}

#[test]
fn a_line_without_error_goes_on_unchanged() {
    let next = a_second_later(line(), 0);
    assert_eq!(
        next,
        Line::new(pair(1_000 + COUNTS, 500_000 + SECOND), GHZ_2)
    );
}

#[test]
fn an_error_is_gone_a_second_later_and_no_step_is_seen() {
    for error in [1, -1, 40, -40, 25_000, -25_000, 499_000, -499_000] {
        let old = line();
        let new = a_second_later(old, error);
        let end = 1_000 + COUNTS;
        let old_end = old.at(end - 1).unwrap();
        let start = new.at(end).unwrap();
        assert!(start - old_end <= 1, "a step of {}", start - old_end);
        // The truth goes on at the new rate, from the truth.
        let truth = new.pair.ns + new.rate().ns(new.holds - 1);
        let last = new.at(end + new.holds - 1).unwrap();
        assert!(truth.abs_diff(last) <= 2, "{error}: {truth} and {last}");
    }
}

#[test]
fn the_rate_follows_the_systems_clock_and_the_error_settles() {
    // Time servers make the clock run 400 ppm fast.
    let mut line = line();
    for second in 0..5 {
        line = a_second_later(line, 400_000);
        let error = line.pair.ns - line.at(line.from).unwrap();
        match second {
            0 => assert_eq!(error, 400_000),
            _ => assert!(error <= 2, "{error}"),
        }
        assert_eq!(line.doubts, 0);
    }
    assert!((line.rate().counts_per_us() - 2000.0 / 1.0004).abs() < 1e-5);
}

#[test]
fn what_is_far_off_is_true_at_once() {
    // The rate is right, so nothing is doubted: a line drawn on for an hour, of which the clock was slewed.
    let line = line();
    let hour = 3_600;
    let true_ns = 500_000 + hour * SECOND + 3_000_000;
    let next = line.next(pair(1_000 + hour * COUNTS, true_ns)).unwrap();
    assert_eq!(next.at(next.from), Some(true_ns));
    assert_eq!(next.mult, next.rate().0);
    assert_eq!(next.doubts, 0);
}

#[test]
fn a_suspension_that_the_counter_ran_through_is_not_taken_for_time() {
    // Eight hours of counts; the monotonic clock went on for two seconds.
    let counter = 1_000 + 8 * 3_600 * COUNTS;
    assert_eq!(line().at(counter), None, "not answered by the old line");
    let next = line().next(pair(counter, 500_000 + 2 * SECOND)).unwrap();
    assert_eq!(next.at(counter), Some(500_000 + 2 * SECOND));
    assert_eq!(next.rate(), GHZ_2, "no rate is learnt from that");
    assert_eq!(next.doubts, 1);
    assert_eq!(a_second_later(next, 0).doubts, 0);
}

#[test]
fn a_suspension_that_reset_the_counter_is_not_taken_for_time() {
    let line = a_second_later(line(), 0);
    let ns = line.pair.ns + 700;
    let next = line.next(pair(5, ns)).unwrap();
    assert_eq!(next.at(5), Some(ns));
    assert_eq!(next.rate(), GHZ_2);
    assert_eq!(next.doubts, 1);
    assert_eq!(a_second_later(next, 0).doubts, 0);
}

#[test]
fn a_process_that_slept_for_years_answers_right_at_once() {
    let years = 70 * 365 * 24 * 3_600;
    let next = line().next(pair(1_000 + years * COUNTS, 500_000 + years * SECOND));
    let next = next.unwrap();
    assert_eq!(next.ns, 500_000 + years * SECOND);
    assert_eq!(next.doubts, 0);
    assert_eq!(next.at(next.from + COUNTS / 2), Some(next.ns + SECOND / 2));
}

#[test]
fn a_counter_that_goes_back_each_time_is_given_up() {
    let mut line = line();
    for doubts in 1..DOUBTS_MAX {
        let earlier = pair(line.pair.counter - 10, line.pair.ns + 1);
        line = line.next(earlier).unwrap();
        assert_eq!(line.doubts, doubts);
    }
    assert_eq!(
        line.next(pair(line.pair.counter - 10, line.pair.ns + 1)),
        None
    );
}

#[test]
fn a_counter_that_stands_still_is_given_up() {
    let mut line = Some(line());
    for _ in 0..DOUBTS_MAX {
        let last = line.expect("some doubts are left");
        line = last.next(pair(last.pair.counter, last.pair.ns + SECOND));
    }
    assert_eq!(line, None);
}

#[test]
fn a_rate_that_changes_each_time_is_given_up() {
    let mut line = Some(line());
    for by_ns in [600_000, -1_700_000, 50_000_000, -60_000_000] {
        let last = line.expect("some doubts are left");
        line = last.next(pair(
            last.pair.counter + COUNTS,
            (last.pair.ns + SECOND).saturating_add_signed(by_ns),
        ));
    }
    assert_eq!(line, None);
}

#[test]
fn doubts_with_good_seconds_between_them_are_forgotten() {
    let mut line = line();
    for _ in 0..20 {
        line = line
            .next(pair(line.pair.counter - 10, line.pair.ns))
            .unwrap();
        assert_eq!(line.doubts, 1);
        line = a_second_later(line, 30);
        assert_eq!(line.doubts, 0);
    }
}

#[test]
fn a_clock_that_is_put_right_at_a_steady_rate_is_followed() {
    // A time server slews by 5 per cent, after a bad start: one doubt, and then the new rate fits.
    let mut line = a_second_later(line(), 50_000_000);
    assert_eq!(line.doubts, 1);
    assert_eq!(line.at(line.from), Some(line.pair.ns), "true at once");
    for _ in 0..10 {
        line = a_second_later(line, 50_000_000);
        assert_eq!(line.doubts, 0);
    }
    // And back again.
    line = a_second_later(line, 0);
    assert_eq!(line.doubts, 1);
    line = a_second_later(line, 0);
    assert_eq!(line.doubts, 0);
}

#[test]
fn a_rate_that_no_kernel_allows_is_not_followed() {
    for (by_ns, followed) in [
        (99_000_000, true),
        (-99_000_000, true),
        (101_000_000, false),
        (-101_000_000, false),
    ] {
        let next = a_second_later(line(), by_ns);
        assert_eq!(next.doubts, 1);
        assert_eq!(next.rate() != GHZ_2, followed, "{by_ns}");
        assert_eq!(next.at(next.from), Some(next.pair.ns), "true at once");
    }
}

#[test]
fn a_pair_that_is_too_wide_teaches_no_rate() {
    let wide = |width| Pair {
        width,
        ..pair(1_000 + COUNTS, 500_000 + SECOND + 90_000)
    };
    // 20 us, and a little more.
    assert_eq!(line().next(wide(40_000)).unwrap().doubts, 0);
    let next = line().next(wide(40_002)).unwrap();
    assert_eq!(next.doubts, 1);
    assert_eq!(next.rate(), GHZ_2);
    assert_eq!(next.at(next.from), Some(500_000 + SECOND + 90_000));
    // The next rate is measured over both seconds.
    let next = next.next(pair(1_000 + 2 * COUNTS, 500_000 + 2 * SECOND + 2_000));
    let next = next.unwrap();
    assert_eq!(next.doubts, 0);
    let ppm = (2000.0 / next.rate().counts_per_us() - 1.0) * 1e6;
    assert!((ppm - 1.0).abs() < 0.01, "{ppm}");
}

#[test]
fn pairs_that_are_always_too_wide_end_it() {
    let mut line = Some(line());
    for second in 1..=u64::from(DOUBTS_MAX) {
        line = line.expect("some doubts are left").next(Pair {
            width: u64::MAX,
            ..pair(1_000 + second * COUNTS, 500_000 + second * SECOND)
        });
    }
    assert_eq!(line, None);
}

#[test]
fn the_counter_may_wrap() {
    let start = u64::MAX - COUNTS / 2;
    let line = Line::new(pair(start, 7), GHZ_2);
    assert_eq!(line.at(u64::MAX), Some(7 + SECOND / 2));
    assert_eq!(line.at(COUNTS / 4 - 1), Some(7 + SECOND / 4 * 3));
    let next = line
        .next(pair(start.wrapping_add(COUNTS), 7 + SECOND))
        .unwrap();
    assert_eq!(next, Line::new(pair(COUNTS / 2 - 1, 7 + SECOND), GHZ_2));
}

#[test]
fn the_slowest_and_the_fastest_counter_fit() {
    for mult in [MULT_MIN, MULT_MAX] {
        let mut line = Line::new(pair(0, 0), Rate(mult));
        line.mult = mult + mult / 1000;
        let last = line.at(line.holds - 1).unwrap();
        let expected = SECOND + SLEW_MAX_NS;
        assert!(expected - last <= 1_100, "{last}");
        assert!(last <= expected);
    }
}

#[test]
fn at_the_end_of_time_the_line_saturates() {
    let line = Line::new(pair(0, u64::MAX - 3), GHZ_2);
    assert_eq!(line.at(6), Some(u64::MAX));
    assert_eq!(line.at(COUNTS - 1), Some(u64::MAX));
    assert_eq!(line.beyond(u64::MAX), u64::MAX);
    let slow = Line::new(pair(0, 0), Rate(MULT_MAX));
    assert_eq!(slow.beyond(u64::MAX), u64::MAX);
    assert_eq!(
        slow.next(pair(u64::MAX / 2, u64::MAX)).unwrap().ns,
        u64::MAX
    );
}

#[test]
fn a_rate_is_to_the_nearest_and_impossible_ones_are_none() {
    let between = |counts, ns| Rate::between(pair(0, 0), pair(counts, ns));
    assert_eq!(between(2_000, 1_000), Some(GHZ_2));
    assert_eq!(between(3, 2), Some(Rate(((2 << PLACES) + 1) / 3)));
    assert_eq!(between(1, 1_000), Some(Rate(MULT_MAX)));
    assert_eq!(between(1, 1_001), None);
    assert_eq!(between(1, u64::MAX), None);
    assert_eq!(between(101, 1), None);
    assert_eq!(between(0, 0), None);
    assert_eq!(between(0, 1), None);
    assert_eq!(
        between(u64::MAX / 2, u64::MAX),
        Some(Rate((2 << PLACES) + 2 - 2))
    );
    assert_eq!(between(u64::MAX, 1), None, "a step back");
    assert_eq!(
        Rate::between(pair(0, 1), pair(1, 0)),
        None,
        "the system's clock went back"
    );
}
