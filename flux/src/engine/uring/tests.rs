//! The engine against the real kernel, with a ring far too small and entries that fail by script.

use super::*;
use crate::op::Request;
use proptest::prelude::*;
use std::io::{Read as _, Write as _};
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
    for code in [libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ETIME] {
        let mut uring = ring(4);
        uring.faults = std::iter::repeat_n([code, code, 0], 50).flatten().collect();
        let all = ops(100, |_| Request::Nothing);
        for op in &all {
            submit(&mut uring, op);
        }
        assert_eq!(drain(&mut uring), (0..100).collect::<Vec<_>>(), "{code}");
        let refused = matches!(code, libc::EBUSY | libc::EAGAIN);
        assert_eq!(uring.counters().refusals > 0, refused, "{code}");
    }
}

#[test]
fn an_error_that_is_none_of_those_ends_the_turn() {
    let mut uring = ring(4);
    uring.faults.push_back(libc::EFAULT);
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

#[derive(Clone, Debug)]
enum Step {
    /// Receives from the pair of this number, unless somebody does already: then does nothing, by an op.
    Receive(usize),
    /// Writes a byte into the pair of this number.
    Write(usize),
    /// Cancels the op that was submitted so long ago.
    Cancel(usize),
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize).prop_map(Step::Receive),
        3 => (0..4_usize).prop_map(Step::Write),
        2 => (0..8_usize).prop_map(Step::Cancel),
        2 => Just(Step::Turn),
    ]
}

/// Where an op belongs that receives nothing.
const NO_PAIR: usize = usize::MAX;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A ring of 4 entries, up to two thousand ops, refusals and cancels at random: each op completes
    /// exactly once, and the bytes of each pair are received in their order, or still there.
    #[test]
    fn no_op_is_lost_or_done_twice_whatever_the_kernel_refuses(
        steps in proptest::collection::vec(step(), 1..2000),
        faults in proptest::collection::vec(
            prop_oneof![
                6 => Just(0),
                1 => Just(libc::EBUSY),
                1 => Just(libc::EAGAIN),
                1 => Just(libc::EINTR),
                1 => Just(libc::ETIME),
            ],
            0..400,
        ),
    ) {
        let mut pairs: Vec<_> = (0..4).map(|_| UnixStream::pair().unwrap()).collect();
        // Numbers the bytes of a pair; 255 of them at the most.
        let mut written = [0_u8; 4];
        let mut uring = ring(4);
        uring.faults = faults.into();
        let mut all: Vec<(Box<Op>, usize, Box<std::cell::Cell<u8>>)> = Vec::new();
        let mut done: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Receive(pair) => {
                    let byte = Box::new(std::cell::Cell::new(0));
                    let busy = all.iter().any(|(op, other, _): &(Box<Op>, usize, _)| {
                        *other == pair && op.state() != State::Done
                    });
                    let (pair, request) = if busy {
                        (NO_PAIR, Request::Nothing)
                    } else {
                        let request = Request::Receive {
                            fd: pairs[pair].1.as_raw_fd(),
                            buffer: byte.as_ptr(),
                            len: 1,
                            peek: false,
                        };
                        (pair, request)
                    };
                    let index = u32::try_from(all.len()).unwrap();
                    all.push((Box::new(Op::new(request, index)), pair, byte));
                    submit(&mut uring, &all[all.len() - 1].0);
                }
                Step::Write(pair) if written[pair] == u8::MAX => {}
                Step::Write(pair) => {
                    written[pair] += 1;
                    pairs[pair].0.write_all(&[written[pair]]).unwrap();
                }
                Step::Cancel(back) => {
                    if let Some(index) = all.len().checked_sub(back + 1)
                        && all[index].0.state() != State::Done
                        && cancel(&mut uring, &all[index].0) == CancelOutcome::Done
                    {
                        done.push(u32::try_from(index).unwrap());
                    }
                }
                Step::Turn => uring.turn(Wait::Poll, |op| done.push(op.fiber())).unwrap(),
            }
        }
        for (op, ..) in &all {
            if op.state() != State::Done && cancel(&mut uring, op) == CancelOutcome::Done {
                done.push(op.fiber());
            }
        }
        done.extend(drain(&mut uring));
        done.sort_unstable();
        let expected: Vec<u32> = (0..).take(all.len()).collect();
        prop_assert_eq!(done, expected);
        prop_assert!(uring.overflow.is_empty() && uring.cancels.is_empty());
        for (number, (writer, mut reader)) in pairs.into_iter().enumerate() {
            drop(writer);
            let mut left = Vec::new();
            reader.read_to_end(&mut left).unwrap();
            let received = all.iter().filter(|(op, pair, _)| *pair == number && op.result() == 1);
            let mut bytes: Vec<u8> = received.map(|(.., byte)| byte.get()).collect();
            bytes.extend(left);
            let expected: Vec<u8> = (1..=written[number]).collect();
            prop_assert_eq!(bytes, expected, "pair {}", number);
        }
    }
}
