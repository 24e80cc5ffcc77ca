//! What holds of every engine, whatever the kernel refuses: each op is done exactly once, nothing overtakes,
//! bytes are in their place, a cancel is heard, and in the end nothing is left.
//!
//! Each engine gets far too little room, thousands of ops at random, and refusals at random.

#![allow(
    clippy::disallowed_methods,
    reason = "what connects here never waits: a listener of this process takes it"
)]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use socket2::{Domain, SockAddr, SockAddrStorage, SockRef, Socket, Type};

use super::refusals::{Entry, Refusals, given};
use super::*;
use crate::op::{Request, State};
use crate::sys::socket::send_now;

/// The ends of socket pairs: the peer of an end is the one whose number differs in the lowest bit.
const ENDS: usize = 8;
/// Connections under way at once: far fewer than a listener holds.
const CONNECTIONS_MAX: usize = 50;
/// The turns after which what is not done counts as lost.
const TURNS_MAX: usize = 1000;
/// Refusals that say "later".
const LATER: [i32; 4] = [libc::EBUSY, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Nothing,
    Receive { end: usize, len: usize, peek: bool },
    Send { end: usize, len: usize },
    Ready { end: usize, write: bool },
    Accept,
    Connect,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(What),
    /// So many ops at once, which do nothing: more than a turn hands over, if there are many.
    Crowd(usize),
    /// Cancels the op that was submitted so long ago.
    Cancel(usize),
    Turn(Wait),
    /// Makes engines doubt what they know of descriptors.
    Doubt,
}

fn what() -> impl Strategy<Value = What> {
    let receive = (0..ENDS, 1..4000_usize, any::<bool>());
    prop_oneof![
        1 => Just(What::Nothing),
        4 => receive.prop_map(|(end, len, peek)| What::Receive { end, len, peek: peek && len < 400 }),
        5 => (0..ENDS, 1..8000_usize).prop_map(|(end, len)| What::Send { end, len }),
        1 => (0..ENDS, any::<bool>()).prop_map(|(end, write)| What::Ready { end, write }),
        1 => any::<bool>().prop_map(|accept| if accept { What::Accept } else { What::Connect }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => what().prop_map(Step::Submit),
        1 => (1..80_usize).prop_map(Step::Crowd),
        20 => (0..30_usize).prop_map(Step::Cancel),
        20 => Just(Step::Turn(Wait::Poll)),
        2 => Just(Step::Turn(Wait::AtMost(Duration::from_micros(50)))),
        10 => Just(Step::Doubt),
    ]
}

/// An op and all that its request points to, at addresses that do not change.
struct Task {
    op: Op,
    what: What,
    bytes: Box<[Cell<u8>]>,
    _peer: Box<(UnsafeCell<SockAddrStorage>, Cell<u32>)>,
    /// What a connection attempt is made with.
    socket: RefCell<Option<Socket>>,
    cancel_asked: Cell<bool>,
    ends: Cell<u32>,
}

/// The bytes from one end to its peer, in the order in which ops told of them.
#[derive(Default)]
struct Stream {
    sent: Vec<u8>,
    received: Vec<u8>,
    /// What was looked at, and where.
    seen: Vec<(usize, Vec<u8>)>,
}

struct World {
    engine: Engine,
    ends: Vec<UnixStream>,
    /// By the end that sends.
    streams: Vec<Stream>,
    listener: TcpListener,
    address: SockAddr,
    connecting: usize,
    accepted: usize,
    tasks: Vec<Rc<Task>>,
    /// The last op that was done of each line in which none may overtake.
    last_done: HashMap<(RawFd, bool), u32>,
}

impl World {
    fn new(engine: Engine) -> Self {
        let mut ends = Vec::new();
        for _ in 0..ENDS / 2 {
            let (a, b) = UnixStream::pair().unwrap();
            for end in [a, b] {
                SockRef::from(&end).set_send_buffer_size(4096).unwrap();
                ends.push(end);
            }
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self {
            engine,
            ends,
            streams: (0..ENDS).map(|_| Stream::default()).collect(),
            address: listener.local_addr().unwrap().into(),
            listener,
            connecting: 0,
            accepted: 0,
            tasks: Vec::new(),
            last_done: HashMap::new(),
        }
    }

    fn submit(&mut self, what: What) {
        let len = match what {
            What::Receive { len, .. } | What::Send { len, .. } => len,
            _ => 0,
        };
        let index = self.tasks.len();
        let bytes: Box<[Cell<u8>]> = (0..len).map(|at| Cell::new(byte(index, at))).collect();
        let peer = SockAddrStorage::zeroed();
        let peer_len = peer.size_of();
        let peer = Box::new((UnsafeCell::new(peer), Cell::new(peer_len)));
        let (buffer, len) = (
            bytes.as_ptr().cast_mut().cast(),
            u32::try_from(len).unwrap(),
        );
        let fd_of = |end: usize| self.ends[end].as_raw_fd();
        let mut socket = None;
        let request = match what {
            What::Nothing => Request::Nothing,
            What::Receive { end, peek, .. } => Request::Receive {
                fd: fd_of(end),
                buffer,
                len,
                peek,
            },
            What::Send { end, .. } => Request::Send {
                fd: fd_of(end),
                bytes: buffer,
                len,
            },
            What::Ready { end, write } => Request::Ready {
                fd: fd_of(end),
                write,
            },
            What::Accept => Request::Accept {
                fd: self.listener.as_raw_fd(),
                address: peer.0.get(),
                len: peer.1.as_ptr(),
            },
            What::Connect => {
                let made = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                // Closed without a trace: no port of this machine stays taken.
                made.set_linger(Some(Duration::ZERO)).unwrap();
                self.connecting += 1;
                let fd = made.as_raw_fd();
                socket = Some(made);
                Request::Connect {
                    fd,
                    address: self.address.as_ptr().cast(),
                    len: self.address.len(),
                }
            }
        };
        let task = Rc::new(Task {
            op: Op::new(request, u32::try_from(index).unwrap()),
            what,
            bytes,
            _peer: peer,
            socket: RefCell::new(socket),
            cancel_asked: Cell::new(false),
            ends: Cell::new(0),
        });
        self.tasks.push(Rc::clone(&task));
        // SAFETY: the op, its buffer and its peer's address are in boxes that `tasks` keeps until the end of
        // the test, as the descriptors are kept by the world, and by the task until it is done.
        unsafe { self.engine.submit(&task.op) };
        if task.op.state() == State::Done {
            self.end(&task);
        }
    }

    /// As a fiber does: tries at once, and submits what has to wait.
    fn send(&mut self, end: usize, len: usize) {
        // What has been sent through the ring may not be known yet.
        if self.engine.name() != "io_uring" {
            let bytes: Vec<u8> = (0..len).map(|at| byte(self.tasks.len(), at)).collect();
            match send_now(self.ends[end].as_fd(), &bytes) {
                Ok(count) => {
                    self.streams[end].sent.extend(&bytes[..count]);
                    return;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        self.submit(What::Send { end, len });
    }

    fn cancel(&mut self, task: &Rc<Task>) {
        if task.op.state() == State::Done {
            return;
        }
        task.cancel_asked.set(true);
        // SAFETY: every task was submitted to this engine.
        if unsafe { self.engine.cancel(&task.op) } == CancelOutcome::Done {
            self.end(task);
        }
    }

    fn turn(&mut self, wait: Wait) {
        let mut done = Vec::new();
        self.engine
            .turn(wait, |op| done.push(op.fiber()))
            .expect("what is refused here is no failure");
        for index in done {
            let task = Rc::clone(&self.tasks[index as usize]);
            self.end(&task);
        }
    }

    /// Books the end of an op.
    fn end(&mut self, task: &Rc<Task>) {
        let (op, what) = (&task.op, task.what);
        task.ends.set(task.ends.get() + 1);
        assert_eq!(task.ends.get(), 1, "{what:?} ended twice");
        assert!(!op.is_linked(), "{what:?} is done, and in a list");
        let socket = task.socket.take();
        if let Some(socket) = socket {
            self.engine.detach(socket.as_raw_fd());
        }
        let Ok(count) = usize::try_from(op.result()) else {
            expect_legal(task);
            return;
        };
        self.expect_order(op);
        let bytes = || task.bytes[..count].iter().map(Cell::get);
        match what {
            What::Nothing | What::Connect => assert_eq!(count, 0),
            // A poll answers with what is ready.
            What::Ready { .. } => {}
            What::Receive { end, len, peek } => {
                assert!((1..=len).contains(&count), "{what:?} got {count}");
                let stream = &mut self.streams[end ^ 1];
                if peek {
                    let at = stream.received.len();
                    stream.seen.push((at, bytes().collect()));
                } else {
                    stream.received.extend(bytes());
                }
            }
            What::Send { end, len } => {
                assert!((1..=len).contains(&count), "{what:?} sent {count}");
                self.streams[end].sent.extend(bytes());
            }
            What::Accept => {
                self.accepted += 1;
                // SAFETY: accepted just now, so that it is open and nobody else's.
                drop(unsafe { OwnedFd::from_raw_fd(op.result()) });
            }
        }
    }

    /// Expects that no earlier op of the same line is still to be done, or was done later.
    fn expect_order(&mut self, op: &Op) {
        let line = match op.request().fd() {
            None => (-1, false),
            // Requests of the ring wait side by side, and bytes that come are the first one's that looks.
            Some(_) if self.engine.name() == "io_uring" => return,
            Some(fd) => (fd, op.request().writes()),
        };
        let last = self.last_done.insert(line, op.fiber());
        // A connection attempt has its descriptor for itself, and numbers come again.
        assert!(last < Some(op.fiber()), "{:?} overtook", op.request());
    }

    fn unfinished(&self) -> Vec<Rc<Task>> {
        let tasks = self.tasks.iter();
        let unfinished = tasks.filter(|task| task.op.state() != State::Done);
        unfinished.cloned().collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit(What::Connect)
                if self.connecting - self.accepted.min(self.connecting) >= CONNECTIONS_MAX => {}
            Step::Submit(What::Send { end, len }) => self.send(end, len),
            Step::Submit(what) => self.submit(what),
            Step::Crowd(count) => (0..count).for_each(|_| self.submit(What::Nothing)),
            Step::Cancel(back) => {
                if let Some(index) = self.tasks.len().checked_sub(back + 1) {
                    let task = Rc::clone(&self.tasks[index]);
                    self.cancel(&task);
                }
            }
            Step::Turn(wait) => self.turn(wait),
            Step::Doubt => readiness::closed_unseen(),
        }
    }

    /// Waits for the end of what was cancelled: it takes nothing but turns.
    fn finish_cancelled(&mut self) {
        for _ in 0..TURNS_MAX {
            if self
                .unfinished()
                .iter()
                .all(|task| !task.cancel_asked.get())
            {
                return;
            }
            self.turn(Wait::AtMost(Duration::from_millis(1)));
        }
        panic!("a cancel was lost");
    }

    /// Gives every op what it waits for.
    fn finish_others(&mut self) {
        for _ in 0..TURNS_MAX {
            let unfinished = self.unfinished();
            if unfinished.is_empty() {
                return;
            }
            let waits = |end: usize, write: bool| {
                let fd = Some(self.ends[end].as_raw_fd());
                let mut requests = unfinished.iter().map(|task| task.op.request());
                requests.any(|request| request.fd() == fd && request.writes() == write)
            };
            let mut wanted = Vec::new();
            for end in 0..ENDS {
                match (waits(end, false), waits(end ^ 1, true)) {
                    (true, false) => wanted.push(Step::Submit(What::Send {
                        end: end ^ 1,
                        len: 64,
                    })),
                    (false, true) => wanted.push(Step::Submit(What::Receive {
                        end,
                        len: 8000,
                        peek: false,
                    })),
                    _ => {}
                }
            }
            if unfinished.iter().any(|task| task.what == What::Accept) {
                let address = self.listener.local_addr().unwrap();
                let stream = TcpStream::connect(address).unwrap();
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            for step in wanted {
                self.step(step);
            }
            self.turn(Wait::AtMost(Duration::from_millis(1)));
        }
        let left: Vec<_> = self.unfinished().iter().map(|task| task.what).collect();
        panic!("never done, though nothing is missing: {left:?}");
    }

    /// Expects that nothing is left, and that every byte is where it belongs.
    fn expect_all_well(mut self) {
        let counters = self.engine.counters();
        assert_eq!(self.engine.in_flight(), 0);
        assert_eq!(counters.overflow_depth, 0);
        assert_eq!(counters.completions, self.tasks.len() as u64);
        assert!(self.tasks.iter().all(|task| task.ends.get() == 1));
        // An engine that registers at once has nothing to overflow.
        let crowded = counters.overflows > 0 && counters.overflow_high_water > 0;
        assert_eq!(crowded, self.engine.name() != "epoll");
        if self.engine.name() == "io_uring" {
            // Those of a pause between two attempts are not counted.
            let given = given(Entry::Ring, &LATER);
            assert_eq!(counters.refusals > 0, given > 0);
            assert!(counters.refusals <= given);
        } else {
            assert_eq!(counters.refusals, given(Entry::Wait, &LATER));
        }
        for (number, end) in self.ends.iter_mut().enumerate() {
            self.engine.detach(end.as_raw_fd());
            let stream = &mut self.streams[number ^ 1];
            end.set_nonblocking(true).unwrap();
            let nothing_more = end.read_to_end(&mut stream.received).unwrap_err();
            assert_eq!(nothing_more.kind(), ErrorKind::WouldBlock);
            assert!(
                stream.received == stream.sent,
                "bytes to end {number} are lost, doubled or swapped"
            );
            for (at, bytes) in &stream.seen {
                assert_eq!(&stream.sent[*at..at + bytes.len()], bytes, "peeked");
            }
        }
        self.engine.detach(self.listener.as_raw_fd());
    }
}

/// Expects an error that this op may end with.
fn expect_legal(task: &Task) {
    let legal = match -task.op.result() {
        libc::ECANCELED => task.cancel_asked.get(),
        code @ libc::ENOMEM => given(Entry::Register, &[code]) > 0,
        code @ libc::ENOBUFS => {
            matches!(task.what, What::Send { .. }) && given(Entry::Send, &[code]) > 0
        }
        _ => false,
    };
    let (what, result) = (task.what, task.op.result());
    assert!(legal, "{what:?} ended with {result}");
}

/// After a failure, what the kernel may still write to stays: the failure is what is to be told.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(std::mem::take(&mut self.tasks));
        }
    }
}

/// A byte of an op's buffer.
fn byte(index: usize, at: usize) -> u8 {
    (index.wrapping_mul(0x9e37_79b9) ^ at.wrapping_mul(0x85eb_ca6b) >> 7).to_le_bytes()[1]
}

/// How often a case refuses: one entry in so many; 0 for never.
fn one_in() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0_u64), 4 => 2..20_u64]
}

fn check(make: fn() -> Engine) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = proptest::collection::vec(step(), 1..2000);
    let case = (steps, any::<[bool; 2]>(), any::<u64>(), one_in());
    let outcome = runner.run(&case, |(mut steps, [doubts, cancel_all], seed, one_in)| {
        if !doubts {
            steps.retain(|step| !matches!(step, Step::Doubt));
        }
        let refusals = Refusals::at_random(seed, one_in);
        let mut world = World::new(make());
        // More than any of them has room for.
        for end in 0..ENDS {
            world.submit(What::Receive {
                end,
                len: 10,
                peek: false,
            });
        }
        for step in steps {
            world.step(step);
        }
        if cancel_all {
            for task in world.unfinished() {
                world.cancel(&task);
            }
        }
        world.finish_cancelled();
        world.finish_others();
        world.expect_all_well();
        drop(refusals);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_ring_of_four_entries_loses_nothing_and_keeps_the_order_whatever_is_refused() {
    check(|| Engine::Uring(Uring::new(4).expect("these tests need a kernel that allows io_uring")));
}

#[cfg(target_os = "linux")]
#[test]
fn epoll_with_four_events_at_a_time_loses_nothing_and_keeps_the_order_whatever_is_refused() {
    check(|| Engine::Epoll(Readiness::new(Epoll::new(4).unwrap())));
}

#[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
#[test]
fn kqueue_with_room_for_one_descriptor_loses_nothing_and_keeps_the_order_whatever_is_refused() {
    check(|| Engine::Kqueue(Readiness::new(Kqueue::new(1).unwrap())));
}
