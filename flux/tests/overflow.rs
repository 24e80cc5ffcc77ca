//! Far more requests than the submission queue holds: none is lost, done twice, or out of its place.
//!
//! The queue has four entries. Hundreds of fibers read, write, peek, connect, sleep and run out of time as a
//! script tells them, and are cancelled in the middle of it; what they did is kept in a ledger, which has to
//! add up in the end.

mod common;

#[path = "overflow/script.rs"]
mod script;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{alone, config, descriptors, engines, run, text};
use flux::net::TcpStream;
use flux::{Builder, Fiber, StackClass, yield_now};
use proptest::prelude::*;
use script::{play, script};
use socket2::SockRef;

const ECANCELED: i32 = 125;
/// The length of the submission queue.
const ENTRIES: u32 = 4;

fn tiny_queue() -> flux::Config {
    config()
        .submission_entries(ENTRIES)
        .fibers(2048)
        .stacks(StackClass::Small, 2040)
        .prefault(4096)
}

fn small<F: FnOnce() -> T, T>(name: &'static str, body: F) -> Fiber<F> {
    Fiber::new(StackClass::Small, name, body)
}

/// The kernel of these tests refuses nothing that a fiber would hear of.
fn is_refusal(_: &std::io::Error) -> bool {
    false
}

/// The two ends of a connection that never leaves the process.
fn socket_pair() -> (TcpStream, TcpStream) {
    let (a, b) = UnixStream::pair().unwrap();
    for end in [&a, &b] {
        SockRef::from(end).set_send_buffer_size(4096).unwrap();
    }
    (OwnedFd::from(a).into(), OwnedFd::from(b).into())
}

/// Runs `body` on each engine, in a process of its own: where a request is lost, a fiber hangs.
fn on_each_engine(test: &str, body: fn()) {
    for engine in engines() {
        let Some(output) = alone(test, &[("FLUX_ENGINE", engine)], body) else {
            return;
        };
        let text = text(&output);
        assert!(text.contains("1 passed"), "{engine}: {text}");
    }
}

/// Expects that the reactor holds nothing of what went on, and that it was crowded.
fn expect_nothing_left() {
    let stats = flux::stats();
    assert_eq!((stats.ops_in_flight, stats.overflow_depth), (0, 0));
    assert_eq!((stats.fibers_in_use, stats.fibers_live), (1, 1));
    assert_eq!(stats.stacks.map(|class| class.in_use), [0, 0, 1]);
    assert_eq!(stats.deadlines, 0);
    // What is asked of epoll leaves at once, so that nothing of it can line up.
    let crowded = stats.overflows > 0 && stats.overflow_high_water > 0;
    assert_eq!(crowded, stats.engine != "epoll");
}

// The queue alone.

#[test]
fn what_waits_behind_a_full_queue_leaves_before_the_core_sleeps() {
    on_each_engine(
        "what_waits_behind_a_full_queue_leaves_before_the_core_sleeps",
        last_of_many,
    );
}

fn last_of_many() {
    run(tiny_queue(), || {
        // All but the last would be waited for in vain.
        let (ends, peers): (Vec<_>, Vec<_>) = (0..50).map(|_| socket_pair()).unzip();
        let read = |end: TcpStream| move || (&end).read(&mut [0; 8]).map_err(|e| e.raw_os_error());
        let mut readers: Vec<_> = ends
            .into_iter()
            .map(|end| Builder::new().stack(StackClass::Small).spawn(read(end)))
            .collect();
        (&peers[49]).write_all(b"x").unwrap();
        assert_eq!(readers.pop().unwrap().join().unwrap(), Ok(1));
        // So it is with cancels: those go first, and are too many as well.
        for reader in &readers {
            reader.cancel();
        }
        while let Some(reader) = readers.pop() {
            assert_eq!(reader.join().unwrap(), Err(Some(ECANCELED)));
        }
        expect_nothing_left();
    })
    .unwrap();
}

#[test]
fn a_deadline_is_kept_though_requests_wait_for_room() {
    on_each_engine(
        "a_deadline_is_kept_though_requests_wait_for_room",
        all_are_late,
    );
}

fn all_are_late() {
    run(tiny_queue(), || {
        let (ends, _peers): (Vec<_>, Vec<_>) = (0..50).map(|_| socket_pair()).unzip();
        flux::scope(|s| {
            for end in &ends {
                s.spawn_fiber(small("late", move || {
                    let mut end = end;
                    let late = flux::timeout(Duration::from_millis(1), || end.read(&mut [0; 8]));
                    let error = late.unwrap_err().into_inner().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                }));
            }
        });
        expect_nothing_left();
    })
    .unwrap();
}

#[test]
fn a_thousand_requests_at_once_get_a_byte_each() {
    on_each_engine("a_thousand_requests_at_once_get_a_byte_each", a_byte_each);
}

fn a_byte_each() {
    const PAIRS: usize = 50;
    const READERS: usize = 20;
    run(tiny_queue(), || {
        let (ends, peers): (Vec<_>, Vec<_>) = (0..PAIRS).map(|_| socket_pair()).unzip();
        let seen = [(); PAIRS].map(|()| Cell::new(0_u32));
        flux::scope(|s| {
            for _ in 0..READERS {
                for (end, seen) in ends.iter().zip(&seen) {
                    s.spawn_fiber(small("reader", move || {
                        let (mut end, mut byte) = (end, [0]);
                        end.read_exact(&mut byte).unwrap();
                        let bit = 1 << byte[0];
                        assert_eq!(seen.get() & bit, 0, "a byte came twice");
                        seen.set(seen.get() | bit);
                    }));
                }
            }
            yield_now().unwrap();
            let bytes: Vec<u8> = (0..20).collect();
            for mut peer in &peers {
                peer.write_all(&bytes).unwrap();
            }
        });
        assert!(seen.iter().all(|seen| seen.get() == (1 << READERS) - 1));
        let stats = flux::stats();
        assert!(stats.overflow_high_water > 100 || stats.engine == "epoll");
        expect_nothing_left();
    })
    .unwrap();
}

// The property.

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    fn operations_end_once_and_bytes_arrive_in_their_place(
        scripts in proptest::collection::vec(script(), 60..160),
        cancels in proptest::collection::vec((0_u64..100, any::<prop::sample::Index>()), 0..100),
    ) {
        let descriptors_before = descriptors();
        let ledger = run(tiny_queue(), move || {
            let ledger = play(&scripts, &cancels);
            expect_nothing_left();
            ledger
        }).unwrap();
        prop_assert_eq!(ledger.begun.get(), ledger.ended.get());
        prop_assert_eq!(descriptors(), descriptors_before);
    }
}

#[test]
fn every_operation_ends_once_and_every_byte_arrives_in_its_place() {
    on_each_engine(
        "every_operation_ends_once_and_every_byte_arrives_in_its_place",
        operations_end_once_and_bytes_arrive_in_their_place,
    );
}
