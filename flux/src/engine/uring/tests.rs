//! The engine against the real kernel, with a ring far too small and entries that fail by script. What holds
//! whatever happens is in `property_tests.rs`, of all engines.

use super::super::refusals::{Entry, Refusals};
use super::*;
use crate::op::Request;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

fn ring(entries: u32) -> Uring {
    Uring::new(entries).expect("the tests of this engine need a kernel that allows io_uring")
}

/// Ops at addresses that do not move, as those in suspended frames.
#[allow(
    clippy::vec_box,
    reason = "an op in a vector would move when that grows"
)]
fn ops(count: u32, request: impl Fn(u32) -> Request) -> Vec<Box<Op>> {
    (0..count)
        .map(|index| Box::new(Op::new(request(index), index)))
        .collect()
}

/// Turns until nothing is in flight; the fibers of the ops, in the order of their completion.
fn drain(uring: &mut Uring) -> Vec<u32> {
    let mut order = Vec::new();
    while uring.in_flight() > 0 {
        uring
            .turn(Wait::AtMost(Duration::from_millis(5)), |op| {
                order.push(op.fiber());
            })
            .unwrap();
    }
    order
}

fn submit(uring: &mut Uring, op: &Op) {
    // SAFETY: the tests keep their boxed ops, and what those point to, until `drain` is through.
    unsafe { uring.submit(op) };
}

fn cancel(uring: &mut Uring, op: &Op) -> CancelOutcome {
    // SAFETY: the tests cancel what they submitted.
    unsafe { uring.cancel(op) }
}

#[test]
fn a_thousand_ops_pass_through_four_entries_in_their_order() {
    let mut uring = ring(4);
    let all = ops(1000, |_| Request::Nothing);
    for op in &all {
        submit(&mut uring, op);
    }
    assert_eq!(uring.in_flight(), 1000);
    assert!(uring.counters().overflow_depth >= 990);
    assert_eq!(drain(&mut uring), (0..1000).collect::<Vec<_>>());
    let counters = uring.counters();
    assert_eq!((counters.completions, counters.overflow_depth), (1000, 0));
    assert!(counters.overflow_high_water >= 990 && counters.overflows >= 990);
}

#[test]
fn a_kernel_that_refuses_is_asked_again_and_nothing_is_lost() {
    let refusing = [libc::EBUSY, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM];
    for code in refusing.into_iter().chain([libc::EINTR, libc::ETIME]) {
        let mut uring = ring(4);
        let codes = std::iter::repeat_n([code, code, 0], 50).flatten();
        let _refusals = Refusals::listed(Entry::Ring, codes);
        let all = ops(100, |_| Request::Nothing);
        for op in &all {
            submit(&mut uring, op);
        }
        assert_eq!(drain(&mut uring), (0..100).collect::<Vec<_>>(), "{code}");
        let refused = refusing.contains(&code);
        assert_eq!(uring.counters().refusals > 0, refused, "{code}");
    }
}

#[test]
fn an_op_does_not_overtake_those_behind_the_queue_when_a_turn_has_made_room() {
    let mut uring = ring(4);
    // The turn ends after so many entries, each of four ops: the rest stands behind an empty queue.
    let first = u32::try_from(ROUNDS_MAX * 4 + 10).unwrap();
    let all = ops(first + 20, |_| Request::Nothing);
    let (before, after) = all.split_at(first as usize);
    for op in before {
        submit(&mut uring, op);
    }
    let mut order = Vec::new();
    uring.turn(Wait::Poll, |op| order.push(op.fiber())).unwrap();
    assert!(!uring.overflow.is_empty() && !uring.full());
    for op in after {
        submit(&mut uring, op);
    }
    order.extend(drain(&mut uring));
    assert_eq!(order, (0..first + 20).collect::<Vec<_>>());
}

#[test]
fn a_refused_cancel_leaves_before_the_ops_that_stand_in_line() {
    let (a, _b) = UnixStream::pair().unwrap();
    let byte = std::cell::Cell::new(0);
    let mut uring = ring(4);
    let reader = ops(1, |_| Request::Receive {
        fd: a.as_raw_fd(),
        buffer: byte.as_ptr(),
        len: 1,
        peek: false,
    });
    submit(&mut uring, &reader[0]);
    uring
        .turn(Wait::Poll, |_| panic!("nothing is done"))
        .unwrap();
    let crowd = ops(1000, |_| Request::Nothing);
    for op in &crowd {
        submit(&mut uring, op);
    }
    assert_eq!(cancel(&mut uring, &reader[0]), CancelOutcome::Pending);
    assert_eq!(uring.cancels.len(), 1);
    let _refusals = Refusals::listed(Entry::Ring, [libc::EBUSY, libc::EINTR, libc::EBUSY]);
    for _ in 0..10 {
        uring.turn(Wait::Poll, |_| ()).unwrap();
    }
    assert_eq!(reader[0].result(), -libc::ECANCELED);
    assert!(!uring.overflow.is_empty(), "the crowd is still there");
    drain(&mut uring);
}

#[test]
fn an_error_that_is_none_of_those_ends_the_turn() {
    let mut uring = ring(4);
    let _refusals = Refusals::listed(Entry::Ring, [libc::EFAULT]);
    let all = ops(1, |_| Request::Nothing);
    submit(&mut uring, &all[0]);
    let error = uring.turn(Wait::Poll, |_| ()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    assert_eq!(drain(&mut uring), [0]);
}

#[test]
fn a_cancel_ends_an_op_wherever_it_is() {
    let (a, _b) = UnixStream::pair().unwrap();
    let mut buffers = [[0_u8; 8]; 10];
    let addresses: Vec<usize> = buffers
        .iter_mut()
        .map(|buffer| buffer.as_mut_ptr().expose_provenance())
        .collect();
    let mut uring = ring(4);
    let all = ops(10, |index| Request::Receive {
        fd: a.as_raw_fd(),
        buffer: std::ptr::with_exposed_provenance_mut(addresses[index as usize]),
        len: 8,
        peek: false,
    });
    for op in &all {
        submit(&mut uring, op);
    }
    assert_eq!(cancel(&mut uring, &all[9]), CancelOutcome::Done, "queued");
    assert_eq!(all[9].result(), -libc::ECANCELED);
    uring
        .turn(Wait::Poll, |_| panic!("nothing is done"))
        .unwrap();
    for op in &all[..9] {
        assert_eq!(cancel(&mut uring, op), CancelOutcome::Pending);
        assert_eq!(cancel(&mut uring, op), CancelOutcome::Pending, "twice");
    }
    let mut ended = drain(&mut uring);
    ended.sort_unstable();
    assert_eq!(ended, (0..9).collect::<Vec<_>>());
    assert!(all.iter().all(|op| op.result() == -libc::ECANCELED));
    assert!(uring.cancels.is_empty());
}

#[test]
fn bytes_that_came_before_the_cancel_are_delivered() {
    let (mut a, b) = UnixStream::pair().unwrap();
    let mut buffer = [0_u8; 8];
    let request = Request::Receive {
        fd: b.as_raw_fd(),
        buffer: buffer.as_mut_ptr(),
        len: 8,
        peek: false,
    };
    let mut uring = ring(4);
    let op = Box::new(Op::new(request, 0));
    submit(&mut uring, &op);
    a.write_all(b"abc").unwrap();
    assert_eq!(cancel(&mut uring, &op), CancelOutcome::Pending);
    assert_eq!(drain(&mut uring), [0]);
    assert_eq!(op.result(), 3);
    assert_eq!(&buffer[..3], b"abc");
}

#[test]
fn completions_beyond_the_queue_are_counted_and_come_all_the_same() {
    let mut uring = ring(1);
    let (a, _b) = UnixStream::pair().unwrap();
    let capacity = u32::try_from(uring.completions.capacity()).unwrap();
    // Readiness to write is there at once for all of them, while nothing reads the completions.
    let all = ops(capacity * 4, |_| Request::Ready {
        fd: a.as_raw_fd(),
        write: true,
    });
    for op in &all {
        submit(&mut uring, op);
        uring.submissions.sync();
        uring.enter(1, Wait::Poll).unwrap();
        uring.submissions.sync();
    }
    let mut order = drain(&mut uring);
    order.sort_unstable();
    assert_eq!(order, (0..capacity * 4).collect::<Vec<_>>());
    assert!(uring.counters().completion_overflows > 0);
}

#[test]
fn a_poll_with_nothing_to_do_does_not_enter_the_kernel() {
    let mut uring = ring(8);
    for _ in 0..100 {
        uring.turn(Wait::Poll, |_| ()).unwrap();
    }
    assert_eq!(uring.counters().enters, 0);
}

#[test]
fn who_refuses_io_uring_is_said_in_words() {
    for (code, word) in [
        (libc::ENOSYS, "no io_uring"),
        (libc::EPERM, "seccomp"),
        (libc::ENOMEM, "ulimit -l"),
        (libc::EMFILE, "ulimit -n"),
        (libc::EINVAL, "too old"),
        (libc::EFAULT, "kernel says"),
    ] {
        let sentence = explain(&io::Error::from_raw_os_error(code));
        assert!(sentence.contains(word), "{sentence}");
    }
}
