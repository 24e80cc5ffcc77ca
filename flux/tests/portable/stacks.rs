//! Fibers on their stacks: turns, results, depth, limits.

use std::cell::RefCell;
use std::hint::black_box;

use flux::{Builder, Fiber, StackClass, scope, spawn, try_spawn, yield_now};

use super::itself::itself;
use super::{config, fibers, quoter, run};

#[test]
fn fibers_take_turns_and_hand_their_results_on() {
    fibers(|| {
        let trace = RefCell::new(String::new());
        let sum = scope(|s| {
            let children = ['a', 'b', 'c'].map(|name| {
                let trace = &trace;
                s.spawn(move || {
                    for _ in 0..3 {
                        trace.borrow_mut().push(name);
                        yield_now().unwrap();
                    }
                    u64::from(u32::from(name))
                })
            });
            children
                .into_iter()
                .map(|child| child.join().unwrap())
                .sum::<u64>()
        });
        assert_eq!((trace.into_inner().as_str(), sum), ("abcabcabc", 294));
        let handle = spawn(quoter(41));
        assert_eq!((handle.name(), handle.join().unwrap()), ("quoter", 42));
        let high = flux::stats().stacks.map(|stacks| stacks.high_water);
        assert_eq!(high, [1, 3, 1]);
    });
}

#[test]
fn what_a_fiber_computes_survives_every_switch() {
    // Registers of both kinds, in numbers: one that a switch loses shows in the sum.
    fn compute(seed: u32, switching: bool) -> (f64, u64) {
        let mut floats = [0.5, 1.25, 2.0, 3.75, 4.5, 5.25, 6.0, 7.5].map(|x| x + f64::from(seed));
        let mut whole = [1_u64, 3, 5, 7, 11, 13, 17, 19].map(|x| x + u64::from(seed));
        for round in 0..200_u32 {
            for (float, whole) in floats.iter_mut().zip(&mut whole) {
                *float = *float * 1.000_1 + f64::from(round);
                *whole = whole.wrapping_mul(6_364_136_223_846_793_005) + 1;
            }
            if switching {
                yield_now().unwrap();
            }
        }
        (floats.iter().sum(), whole.iter().fold(0, |sum, x| sum ^ x))
    }
    fibers(|| {
        let fibers: Vec<_> = (0..16)
            .map(|seed| spawn(move || compute(seed, true)))
            .collect();
        for (seed, fiber) in (0..16).zip(fibers) {
            let (float, whole) = fiber.join().unwrap();
            let expected = compute(seed, false);
            assert_eq!((float.to_bits(), whole), (expected.0.to_bits(), expected.1));
        }
    });
}

#[test]
fn each_class_has_the_stack_that_it_promises() {
    /// Goes down by frames of a kibibyte until the stack is so deep, and comes back up through all of them.
    #[inline(never)]
    fn descend(base: usize, bytes: usize) -> usize {
        let frame = [1_u8; 1024];
        let depth = base - black_box(&frame).as_ptr().addr();
        if depth >= bytes {
            return 0;
        }
        descend(base, bytes) + usize::from(black_box(&frame)[1023])
    }
    fibers(|| {
        for (class, kib) in StackClass::ALL.into_iter().zip([64, 256, 1024]) {
            // All but what the first frames, and the last, may take.
            let bytes = (kib - 8) * 1024;
            let handle = Builder::new().stack(class).spawn(move || {
                let top = 0_u8;
                descend((&raw const top).addr(), bytes)
            });
            let frames = handle.join().unwrap();
            assert!(frames > kib / 4, "{class}: {frames}");
        }
    });
}

#[test]
fn a_stack_that_is_used_up_ends_the_process_before_it_writes_elsewhere() {
    const MARK: &str = "FLUX_TEST_OVERFLOW";
    #[inline(never)]
    fn endless(depth: u64) -> u64 {
        let frame = black_box([depth; 64]);
        if black_box(depth) == u64::MAX {
            return 0;
        }
        endless(depth + 1) + black_box(frame)[63]
    }
    if std::env::var_os(MARK).is_some() {
        fibers(|| {
            let fiber = Fiber::new(StackClass::Small, "bottomless", || endless(0));
            println!("came back from it: {:?}", spawn(fiber).join());
        });
        return;
    }
    let output = itself()
        .args([
            "stacks::a_stack_that_is_used_up_ends_the_process_before_it_writes_elsewhere",
            "--exact",
            "--nocapture",
        ])
        .env(MARK, "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("a test can start itself");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(!output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("running 1 test"), "{stdout}{stderr}");
    assert!(!stdout.contains("came back"), "{stdout}{stderr}");
    let named = stderr.contains("stack overflow in fiber `bottomless`: its small stack");
    assert!(named, "{stdout}{stderr}");
}

#[test]
fn more_fibers_than_stacks_all_run() {
    let config = config().fibers(1200).stacks(StackClass::Small, 100);
    let sum = run(config, || {
        let fibers: Vec<_> = (0..1000)
            .map(|number| {
                spawn(Fiber::new(StackClass::Small, "one of many", move || {
                    yield_now().unwrap();
                    number
                }))
            })
            .collect();
        assert_eq!(flux::stats().fibers_live, 1001);
        fibers
            .into_iter()
            .map(|fiber| fiber.join().unwrap())
            .sum::<u32>()
    });
    assert_eq!(sum.unwrap(), 499_500);
}

#[test]
fn a_full_arena_gives_the_fiber_back() {
    run(config().fibers(2), || {
        let first = spawn(yield_now);
        let full = try_spawn(|| "unstarted").unwrap_err();
        assert_eq!(full.into_inner()(), "unstarted");
        first.join().unwrap().unwrap();
    })
    .unwrap();
}
