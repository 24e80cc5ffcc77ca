#![allow(
    clippy::disallowed_methods,
    reason = "std's own instants are what ours are held against"
)]
#![allow(
    clippy::unchecked_time_subtraction,
    reason = "that it panics, and when, is what is tested"
)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::catch_unwind;
use std::time::Instant as StdInstant;

use super::*;

const NS: Duration = Duration::from_nanos(1);
const HOUR: Duration = Duration::from_hours(1);

#[test]
fn differences_saturate_as_stds_do() {
    let (ours, stds) = (Instant::now(), StdInstant::now());
    for later in [Duration::ZERO, NS, HOUR] {
        let (our_later, std_later) = (ours + later, stds + later);
        assert_eq!(our_later - ours, std_later - stds);
        assert_eq!(ours - our_later, stds - std_later);
        assert_eq!(
            our_later.duration_since(ours),
            std_later.duration_since(stds)
        );
        assert_eq!(
            ours.duration_since(our_later),
            stds.duration_since(std_later)
        );
        assert_eq!(
            ours.saturating_duration_since(our_later),
            stds.saturating_duration_since(std_later)
        );
        assert_eq!(
            ours.checked_duration_since(our_later),
            stds.checked_duration_since(std_later)
        );
        assert_eq!(
            our_later.checked_duration_since(ours),
            std_later.checked_duration_since(stds)
        );
        assert_eq!(ours.cmp(&our_later), stds.cmp(&std_later));
    }
    assert_eq!((ours + HOUR).elapsed(), (stds + HOUR).elapsed());
}

#[test]
fn sums_panic_as_stds_do() {
    let (ours, stds) = (Instant::now(), StdInstant::now());
    assert_eq!(ours.checked_add(Duration::MAX), None);
    assert_eq!(stds.checked_add(Duration::MAX), None);
    assert!(catch_unwind(|| ours + Duration::MAX).is_err());
    assert!(catch_unwind(|| stds + Duration::MAX).is_err());

    assert_eq!(ours.checked_sub(Duration::MAX), None);
    assert_eq!(stds.checked_sub(Duration::MAX), None);
    assert!(catch_unwind(|| ours - Duration::MAX).is_err());
    assert!(catch_unwind(|| stds - Duration::MAX).is_err());

    let changed = |change: fn(&mut Instant)| {
        catch_unwind(move || {
            let mut moment = ours;
            change(&mut moment);
            moment
        })
    };
    assert!(changed(|moment| *moment += Duration::MAX).is_err());
    assert!(changed(|moment| *moment -= Duration::MAX).is_err());
    assert_eq!(changed(|moment| *moment += NS).unwrap(), ours + NS);
    assert_eq!(changed(|moment| *moment -= NS).unwrap(), ours - NS);
}

#[test]
fn a_sum_that_overflows_says_so() {
    let panic = catch_unwind(|| Instant(u64::MAX) + NS).unwrap_err();
    let sentence = panic.downcast_ref::<String>().unwrap();
    assert_eq!(sentence, "overflow when adding a duration to an instant");
    let panic = catch_unwind(|| Instant(0) - NS).unwrap_err();
    let sentence = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        sentence,
        "overflow when subtracting a duration from an instant"
    );
}

#[test]
fn the_first_and_the_last_moment_are_within() {
    let (first, last) = (Instant(0), Instant(u64::MAX));
    let all = Duration::from_nanos(u64::MAX);
    assert_eq!(first + all, last);
    assert_eq!(last - all, first);
    assert_eq!(last - first, all);
    assert_eq!(first - last, Duration::ZERO);
    assert_eq!(last.checked_add(NS), None);
    assert_eq!(first.checked_sub(NS), None);
    assert_eq!(last.checked_add(Duration::ZERO), Some(last));
    assert_eq!(first.checked_sub(Duration::ZERO), Some(first));
    assert_eq!(first.checked_add(all + NS), None);
    assert_eq!(first.checked_duration_since(last), None);
}

#[test]
fn std_and_back_again_is_the_same_moment() {
    let now = Instant::now();
    for moment in [
        Instant(0),
        Instant(1),
        now - NS,
        now,
        now + HOUR,
        Instant(u64::MAX),
    ] {
        assert_eq!(Instant::from_std(moment.into_std()), moment);
        let std: StdInstant = moment.into();
        assert_eq!(Instant::from(std), moment);
    }
    let now = StdInstant::now();
    for moment in [
        now - HOUR.min(Instant::from_std(now) - Instant(0)),
        now - NS,
        now,
        now + HOUR,
    ] {
        assert_eq!(Instant::from_std(moment).into_std(), moment);
    }
}

#[test]
fn distances_survive_the_conversion_exactly() {
    let now = Instant::now();
    for distance in [Duration::ZERO, NS, HOUR, 1000 * HOUR] {
        assert_eq!((now + distance).into_std() - now.into_std(), distance);
        let std = StdInstant::now();
        let later = Instant::from_std(std + distance);
        assert_eq!(later - Instant::from_std(std), distance);
    }
}

#[test]
fn a_conversion_lies_between_readings_to_within_its_error() {
    // Far above what it is: a pair that was preempted in the middle, each time that it was taken.
    let error = Duration::from_millis(1);
    let before = Instant::now();
    let std = Instant::from_std(StdInstant::now());
    let after = Instant::now();
    assert!(before <= std + error && std <= after + error);
}

#[test]
fn moments_of_std_that_ours_cannot_name_become_the_first_and_the_last() {
    let beyond = Instant(u64::MAX).into_std() + NS;
    assert_eq!(Instant::from_std(beyond), Instant(u64::MAX));
    let before = Instant(0).into_std() - NS;
    assert_eq!(Instant::from_std(before), Instant(0));
}

#[test]
fn a_moment_is_its_nanoseconds() {
    let moment = Instant::from_monotonic_nanos(1_500_000_000);
    assert_eq!(moment.as_monotonic_nanos(), 1_500_000_000);
    assert_eq!(format!("{moment:?}"), "Instant(1.5s)");
    let hash = |moment: Instant| {
        let mut hasher = DefaultHasher::new();
        moment.hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(moment), hash(Instant(1_500_000_000)));
    assert_ne!(hash(moment), hash(Instant(1_500_000_001)));
}

#[test]
fn outside_of_a_fiber_now_is_precise() {
    let before = clock::monotonic_ns();
    let (now, precise) = (now(), now_precise());
    let after = clock::monotonic_ns();
    assert!(before <= now.0 && now <= precise && precise.0 <= after);
}

#[test]
fn outside_of_a_fiber_there_are_no_cycles() {
    let panics = [
        catch_unwind(cycles).unwrap_err(),
        catch_unwind(cycles_per_us).unwrap_err(),
    ];
    for panic in panics {
        let sentence = panic.downcast_ref::<&str>().unwrap();
        assert!(sentence.contains("inside a fiber alone"), "{sentence}");
    }
}
