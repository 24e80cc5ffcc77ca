//! Fibers under a kernel that refuses at random, with a submission queue of four entries: what they do ends
//! once, in a way that it may end, no byte is lost, and nothing is left.
//!
//! The fibers follow the scripts of `tests/overflow`, each engine in a process of its own: where a request is
//! lost, a fiber hangs.

#[path = "../../tests/common/mod.rs"]
mod common;

#[path = "../../tests/overflow/script.rs"]
mod script;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use flux::net::TcpStream;
use flux::{Fiber, StackClass};
use proptest::prelude::*;
use socket2::SockRef;

use self::common::{alone, config, descriptors, run, text};
use self::script::{play, script};
use crate::engine::refusals::{Entry, Refusals, given};

const ECANCELED: i32 = libc::ECANCELED;
/// Refusals that say "later".
const LATER: [i32; 4] = [libc::EBUSY, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM];

fn small<F: FnOnce() -> T, T>(name: &'static str, body: F) -> Fiber<F> {
    Fiber::new(StackClass::Small, name, body)
}

/// The two ends of a connection that never leaves the process.
fn socket_pair() -> (TcpStream, TcpStream) {
    let (a, b) = UnixStream::pair().unwrap();
    for end in [&a, &b] {
        SockRef::from(end).set_send_buffer_size(4096).unwrap();
    }
    (OwnedFd::from(a).into(), OwnedFd::from(b).into())
}

/// Whether an operation ended so because the kernel was told to refuse something of that kind.
fn is_refusal(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code @ libc::ENOMEM) => given(Entry::Register, &[code]) > 0,
        Some(code @ libc::ENOBUFS) => given(Entry::Send, &[code]) > 0,
        _ => false,
    }
}

/// Expects that the reactor holds nothing of what went on, that it was crowded, and that it knows how often
/// it was refused.
fn expect_nothing_left() {
    let stats = flux::stats();
    assert_eq!((stats.ops_in_flight, stats.overflow_depth), (0, 0));
    assert_eq!((stats.fibers_in_use, stats.fibers_live), (1, 1));
    assert_eq!(stats.stacks.map(|class| class.in_use), [0, 0, 1]);
    assert_eq!(stats.stacks.map(|class| class.waiting), [0; 3]);
    assert_eq!(stats.deadlines, 0);
    // An engine that registers at once has nothing to overflow.
    let crowded = stats.overflows > 0 && stats.overflow_high_water > 0;
    assert_eq!(crowded, stats.engine != "epoll");
    if stats.engine == "io_uring" {
        // Those of a pause between two attempts are not counted.
        let given = given(Entry::Ring, &LATER);
        assert_eq!(stats.kernel_refusals > 0, given > 0);
        assert!(stats.kernel_refusals <= given);
    } else {
        assert_eq!(stats.kernel_refusals, given(Entry::Wait, &LATER));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    fn operations_end_once_and_legally(
        scripts in proptest::collection::vec(script(), 60..120),
        cancels in proptest::collection::vec((0_u64..100, any::<prop::sample::Index>()), 0..80),
        seed in any::<u64>(),
        one_in in 2..30_u64,
    ) {
        let descriptors_before = descriptors();
        let config = config()
            .submission_entries(4)
            .fibers(1024)
            .stacks(StackClass::Small, 1000)
            .prefault(4096);
        let ledger = run(config, move || {
            let _refusals = Refusals::at_random(seed, one_in);
            let ledger = play(&scripts, &cancels);
            expect_nothing_left();
            ledger
        }).unwrap();
        prop_assert_eq!(ledger.begun.get(), ledger.ended.get());
        prop_assert_eq!(descriptors(), descriptors_before);
    }
}

/// Expects the property in a process of its own, on this engine.
fn holds_on(engine: &str, test: &str) {
    let test = format!("reactor::refusal_tests::{test}");
    let environment = [("FLUX_ENGINE", engine)];
    if let Some(output) = alone(&test, &environment, operations_end_once_and_legally) {
        let said = text(&output);
        assert!(said.contains("1 passed"), "{engine}: {said}");
    }
}

#[test]
fn a_refusing_ring_loses_no_operation_of_a_fiber() {
    holds_on("io_uring", "a_refusing_ring_loses_no_operation_of_a_fiber");
}

#[test]
fn a_refusing_epoll_loses_no_operation_of_a_fiber() {
    holds_on("epoll", "a_refusing_epoll_loses_no_operation_of_a_fiber");
}

#[cfg(flux_kqueue_compat)]
#[test]
fn a_refusing_kqueue_loses_no_operation_of_a_fiber() {
    holds_on("kqueue", "a_refusing_kqueue_loses_no_operation_of_a_fiber");
}
