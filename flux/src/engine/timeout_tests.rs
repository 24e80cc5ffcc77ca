//! What holds of timeouts on every engine: never early, in the order of their moments, a cancel heard wherever it
//! finds them, and nothing left behind.
//!
//! Each test runs on all engines of the system, with room for few ops at a time and for many.

use std::cell::Cell;
use std::time::Duration;

use super::refusals::{Entry, Refusals};
use super::*;
use crate::op::{Moment, Request, State};
use crate::sys::affinity;

/// The turns after which what is not done counts as lost.
const TURNS_MAX: usize = 100_000;
/// Longer than any test takes.
const YEAR: Duration = Duration::from_hours(24 * 365);

/// Every engine of this system, with so many entries.
fn engines(entries: u32) -> Vec<Engine> {
    vec![
        #[cfg(target_os = "linux")]
        Engine::Uring(Uring::new(entries).expect("these tests need a kernel that allows io_uring")),
        #[cfg(target_os = "linux")]
        Engine::Epoll(Readiness::new(Epoll::new(entries).unwrap())),
        #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
        Engine::Kqueue(Readiness::new(Kqueue::new(entries).unwrap())),
    ]
}

/// Runs a test on every engine, with room for very few ops at a time and for many.
fn on_each(test: impl Fn(&mut Bench)) {
    for entries in [1, 4, 256] {
        for engine in engines(entries) {
            let mut bench = Bench::new(engine);
            test(&mut bench);
            bench.expect_nothing_left();
        }
    }
}

fn now(wall: bool) -> Duration {
    if wall {
        clock::wall()
    } else {
        Duration::from_nanos(clock::monotonic_ns())
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Spins until a moment of the monotonic clock has come.
fn wait_until(moment: Duration) {
    while now(false) < moment {
        std::hint::spin_loop();
    }
}

struct Timeout {
    op: Op,
    at: Duration,
    wall: bool,
    ends: Cell<u32>,
}

/// An engine, and what was submitted to it.
struct Bench {
    engine: Engine,
    #[allow(
        clippy::vec_box,
        reason = "an op in a vector would move when that grows"
    )]
    timeouts: Vec<Box<Timeout>>,
    /// The numbers of those that are done, in that order.
    order: Vec<usize>,
}

impl Bench {
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            timeouts: Vec::new(),
            order: Vec::new(),
        }
    }

    /// The number of the timeout.
    fn submit(&mut self, at: Duration, wall: bool) -> usize {
        let index = self.timeouts.len();
        let request = Request::Timeout {
            at: Moment::new(at),
            wall,
        };
        self.timeouts.push(Box::new(Timeout {
            op: Op::new(request, u32::try_from(index).unwrap()),
            at,
            wall,
            ends: Cell::new(0),
        }));
        // SAFETY: the op is in a box that is kept, also by a test that fails, until it is done.
        unsafe { self.engine.submit(&self.timeouts[index].op) };
        if self.state(index) == State::Done {
            self.end(index);
        }
        index
    }

    fn cancel(&mut self, index: usize) -> CancelOutcome {
        // SAFETY: every timeout was submitted to this engine.
        let outcome = unsafe { self.engine.cancel(&self.timeouts[index].op) };
        if outcome == CancelOutcome::Done {
            self.end(index);
        }
        outcome
    }

    fn turn(&mut self, wait: Wait) {
        let mut done = Vec::new();
        self.engine
            .turn(wait, |op| done.push(op.fiber() as usize))
            .expect("what is refused here is no failure");
        for index in done {
            self.end(index);
        }
    }

    /// Books an end, which is the only one, and not before its time.
    fn end(&mut self, index: usize) {
        let (timeout, name) = (&self.timeouts[index], self.engine.name());
        timeout.ends.set(timeout.ends.get() + 1);
        assert_eq!(timeout.ends.get(), 1, "{name}: {index} ended twice");
        assert!(
            !timeout.op.is_linked(),
            "{name}: {index} is done, and in a list"
        );
        if timeout.op.result() == 0 {
            let now = now(timeout.wall);
            assert!(now >= timeout.at, "{name}: {index} at {now:?}: too early");
        }
        self.order.push(index);
    }

    /// Turns until nothing is in flight.
    fn finish(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.engine.in_flight() == 0 {
                return;
            }
            self.turn(Wait::AtMost(milliseconds(10)));
        }
        panic!("{}: a timeout was lost", self.engine.name());
    }

    fn state(&self, index: usize) -> State {
        self.timeouts[index].op.state()
    }

    fn result(&self, index: usize) -> i32 {
        self.timeouts[index].op.result()
    }

    #[track_caller]
    fn expect(&self, indices: impl IntoIterator<Item = usize>, result: i32) {
        for index in indices {
            assert_eq!(
                self.result(index),
                result,
                "{}: {index}",
                self.engine.name()
            );
        }
    }

    fn expect_nothing_left(&self) {
        let (counters, name) = (self.engine.counters(), self.engine.name());
        assert_eq!(self.engine.in_flight(), 0, "{name}");
        assert_eq!(counters.overflow_depth, 0, "{name}");
        assert_eq!(counters.completions, self.timeouts.len() as u64, "{name}");
        assert_eq!(self.order.len(), self.timeouts.len(), "{name}");
    }
}

/// After a failure, what the kernel may still tell of stays: the failure is what is to be told.
impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(std::mem::take(&mut self.timeouts));
        }
    }
}

#[test]
fn a_moment_is_laid_out_as_it_was_given_and_ends_with_the_clock() {
    let moment = Moment::new(Duration::new(7, 999_999_999));
    assert_eq!(moment.since_zero(), Duration::new(7, 999_999_999));
    let last = Moment::new(Duration::MAX).since_zero();
    assert_eq!(last, Duration::new(i64::MAX.cast_unsigned(), 999_999_999));
    assert!(Moment::new(Duration::ZERO) < moment && moment < Moment::new(Duration::MAX));
}

#[test]
fn none_is_early_on_either_clock() {
    on_each(|bench| {
        for step in 0..40_u32 {
            let wall = step % 2 == 1;
            bench.submit(now(wall) + step * Duration::from_micros(123), wall);
        }
        bench.finish();
        bench.expect(0..40, 0);
    });
}

#[test]
fn a_wait_without_end_ends_with_the_moment() {
    on_each(|bench| {
        for wall in [false, true] {
            let index = bench.submit(now(wall) + milliseconds(3), wall);
            // Interrupted by nothing but the timer; early ends of a wait are allowed.
            while bench.state(index) != State::Done {
                bench.turn(Wait::Forever);
            }
            bench.expect([index], 0);
        }
    });
}

/// Submits so many, half a millisecond apart, in an order that is not that of their moments; the number that each
/// has in that. All are with the kernel before the first one is due, if the machine lets them.
fn shuffled(bench: &mut Bench, count: usize, wall: bool) -> Vec<usize> {
    for lead in [10, 40, 160, 640, 2560] {
        let first = now(wall) + milliseconds(lead);
        let from = bench.timeouts.len();
        // 7 has no divisor in common with the number.
        for step in 0..count {
            let place = u32::try_from(step * 7 % count).unwrap();
            bench.submit(first + place * Duration::from_micros(500), wall);
        }
        while bench.engine.counters().overflow_depth > 0 {
            bench.turn(Wait::Poll);
        }
        bench.turn(Wait::Poll);
        if now(wall) < first {
            return (0..count)
                .map(|place| from + (0..count).find(|step| step * 7 % count == place).unwrap())
                .collect();
        }
        bench.finish();
        bench.order.clear();
    }
    panic!("this machine takes seconds to hand over {count} timeouts");
}

/// Timers of one clock and one core go off in the order of their moments, with these kernels.
fn on_one_core(test: impl FnOnce()) {
    let allowed = affinity::allowed().unwrap();
    affinity::pin(&allowed[..allowed.len().min(1)]).unwrap();
    test();
    affinity::pin(&allowed).unwrap();
}

#[test]
fn they_are_done_in_the_order_of_their_moments_not_in_that_of_their_submission() {
    on_one_core(|| {
        for entries in [1, 4, 256] {
            for engine in engines(entries) {
                let mut bench = Bench::new(engine);
                for wall in [false, true] {
                    let expected = shuffled(&mut bench, 20, wall);
                    bench.finish();
                    assert_eq!(bench.order, expected, "{} {wall}", bench.engine.name());
                    bench.order.clear();
                }
            }
        }
    });
}

#[test]
fn those_that_are_all_due_when_they_are_looked_at_come_in_the_order_of_their_moments() {
    on_one_core(|| {
        for engine in engines(256) {
            let mut bench = Bench::new(engine);
            let expected = shuffled(&mut bench, 20, false);
            wait_until(now(false) + milliseconds(30));
            bench.finish();
            assert_eq!(bench.order, expected, "{}", bench.engine.name());
        }
    });
}

#[test]
fn a_thousand_at_once_are_all_done_in_their_time() {
    room_for_descriptors();
    on_each(|bench| {
        let soon = [now(false), now(true)].map(|now| now + milliseconds(20));
        for step in 0..1000_u32 {
            let wall = step % 3 == 0;
            let spread = (step % 10) * Duration::from_micros(100);
            bench.submit(soon[usize::from(wall)] + spread, wall);
        }
        bench.finish();
        bench.expect(0..1000, 0);
    });
}

#[test]
fn a_moment_that_has_come_takes_no_waiting() {
    on_each(|bench| {
        for wall in [false, true] {
            for at in [Duration::ZERO, now(wall).saturating_sub(YEAR), now(wall)] {
                let index = bench.submit(at, wall);
                assert_eq!(bench.state(index), State::Done);
                bench.expect([index], 0);
            }
        }
        assert_eq!(bench.engine.counters().enters, 0);
    });
}

#[test]
fn one_whose_moment_comes_while_it_stands_in_line_is_done_when_its_turn_comes() {
    on_each(|bench| {
        let soon = now(false) + milliseconds(2);
        for _ in 0..600 {
            bench.submit(soon, false);
        }
        wait_until(soon);
        bench.finish();
        bench.expect(0..600, 0);
    });
}

#[test]
fn the_farthest_future_is_waited_for_and_can_be_cancelled() {
    on_each(|bench| {
        let moments = |wall| {
            [
                Duration::MAX,
                Duration::new(i64::MAX.cast_unsigned(), 0),
                Duration::from_nanos(u64::MAX),
                Duration::from_nanos(i64::MAX.cast_unsigned()),
                now(wall) + YEAR,
            ]
        };
        for wall in [false, true] {
            for at in moments(wall) {
                bench.submit(at, wall);
            }
        }
        for _ in 0..20 {
            bench.turn(Wait::AtMost(Duration::from_micros(200)));
        }
        assert_eq!(bench.order, [], "{}", bench.engine.name());
        for index in 0..bench.timeouts.len() {
            bench.cancel(index);
        }
        bench.finish();
        bench.expect(0..10, -libc::ECANCELED);
    });
}

#[test]
fn a_cancel_finds_a_timeout_that_has_not_left_that_stands_in_line_and_that_the_kernel_has() {
    on_each(|bench| {
        let year = now(false) + YEAR;
        // In the kernel, all of them.
        for _ in 0..10 {
            bench.submit(year, false);
        }
        while bench.engine.counters().overflow_depth > 0 {
            bench.turn(Wait::Poll);
        }
        bench.turn(Wait::Poll);
        // In the queue for the kernel, as far as that has room, and behind it.
        for _ in 0..600 {
            bench.submit(year, false);
        }
        let soon = bench.submit(now(false) + milliseconds(2), false);
        // Every other one, from behind: each leaves its neighbours where they are.
        for index in (0..610).rev().step_by(2) {
            bench.cancel(index);
            // Asked for twice, it is no other cancel.
            assert_eq!(bench.cancel(index), CancelOutcome::Pending);
        }
        while bench.state(soon) != State::Done {
            bench.turn(Wait::AtMost(milliseconds(10)));
        }
        bench.expect([soon], 0);
        let cancelled = || (0..610).skip(1).step_by(2);
        while !cancelled().all(|index| bench.state(index) == State::Done) {
            bench.turn(Wait::AtMost(milliseconds(10)));
        }
        assert_eq!(bench.order.len(), 306, "and no other");
        for index in (0..610).step_by(2) {
            bench.cancel(index);
        }
        bench.finish();
        bench.expect(0..610, -libc::ECANCELED);
    });
}

#[test]
fn a_cancel_at_the_moment_itself_and_the_moment_end_it_once() {
    on_each(|bench| {
        let mut cancelled = 0;
        for round in 0..200_u32 {
            let at = now(false) + Duration::from_micros(200);
            let index = bench.submit(at, false);
            bench.turn(Wait::Poll);
            // From before it to after it.
            let before = at.saturating_sub(Duration::from_micros(50));
            wait_until(before + round * Duration::from_nanos(500));
            bench.cancel(index);
            bench.finish();
            match -bench.result(index) {
                0 => {}
                libc::ECANCELED => cancelled += 1,
                code => panic!("{}: ended with {code}", bench.engine.name()),
            }
        }
        // A cancel comes too late for none but those that the kernel has told of.
        assert!(cancelled > 0, "{}", bench.engine.name());
    });
}

#[test]
fn a_cancel_of_one_that_is_done_changes_nothing() {
    on_each(|bench| {
        let index = bench.submit(now(false) + milliseconds(1), false);
        bench.finish();
        assert_eq!(bench.cancel(index), CancelOutcome::Pending);
        bench.finish();
        bench.expect([index], 0);
    });
}

#[test]
fn a_kernel_that_refuses_at_random_loses_no_timeout_and_makes_none_early() {
    for seed in 0..4 {
        on_each(|bench| {
            let refusals = Refusals::at_random(seed, 3);
            for step in 0..100_u32 {
                bench.submit(now(false) + step * Duration::from_micros(50), false);
            }
            bench.finish();
            drop(refusals);
            for index in 0..100 {
                // A registration may be refused, which is the end of its timeout.
                let result = bench.result(index);
                assert!(matches!(-result, 0 | libc::ENOMEM), "{result}");
            }
        });
    }
}

#[test]
fn a_registration_that_is_refused_ends_its_timeout_alone_with_the_code() {
    for engine in engines(256) {
        if engine.name() == "io_uring" {
            // Has none.
            continue;
        }
        let mut bench = Bench::new(engine);
        let refusals = Refusals::listed(Entry::Register, [0, libc::ENOMEM, 0]);
        for _ in 0..3 {
            bench.submit(now(false) + YEAR, false);
        }
        bench.turn(Wait::Poll);
        drop(refusals);
        assert_eq!(bench.order, [1]);
        bench.expect([1], -libc::ENOMEM);
        bench.cancel(0);
        bench.cancel(2);
        bench.expect([0, 2], -libc::ECANCELED);
        bench.expect_nothing_left();
    }
}

/// More descriptors than any test here has open, if the process may have them.
fn room_for_descriptors() {
    // SAFETY: all zeroes is a valid `rlimit`.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the limit is in this frame.
    assert_eq!(0, unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit)
    });
    limit.rlim_cur = limit.rlim_cur.max(limit.rlim_max.min(8192));
    // SAFETY: as above.
    assert_eq!(0, unsafe {
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
    });
}

#[cfg(target_os = "linux")]
mod descriptors {
    use std::fs;
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::thread;

    use super::*;

    /// Runs a test on a thread that has a table of descriptors for itself.
    fn alone(test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: takes a flag; the table is copied, and nothing of this process changes.
                assert_eq!(0, unsafe { libc::unshare(libc::CLONE_FILES) });
                test();
            });
        });
    }

    fn open() -> usize {
        fs::read_dir("/proc/thread-self/fd").unwrap().count()
    }

    #[test]
    fn no_descriptor_is_left_of_those_that_are_done_cancelled_or_refused() {
        alone(|| {
            for engine in engines(4) {
                let mut bench = Bench::new(engine);
                let before = open();
                let refusals = Refusals::listed(Entry::Register, [0, 0, libc::ENOMEM]);
                let soon = now(false) + milliseconds(2);
                for index in 0..30 {
                    let at = if index < 20 { soon } else { soon + YEAR };
                    bench.submit(at, false);
                }
                bench.turn(Wait::Poll);
                drop(refusals);
                for index in 10..30 {
                    bench.cancel(index);
                }
                bench.finish();
                assert_eq!(open(), before, "{}", bench.engine.name());
                bench.expect_nothing_left();
            }
        });
    }

    #[test]
    fn a_timeout_for_which_no_descriptor_is_left_says_so_and_the_next_one_is_fine() {
        alone(|| {
            let mut bench = Bench::new(Engine::Epoll(Readiness::new(Epoll::new(4).unwrap())));
            let file = fs::File::open("/dev/null").unwrap();
            let mut all = Vec::new();
            while let Ok(another) = file.try_clone() {
                all.push(another);
                if all.len() > 1 << 20 {
                    eprintln!("not checked: this process may have millions of descriptors");
                    return;
                }
            }
            let none_left = bench.submit(now(false) + YEAR, false);
            bench.expect([none_left], -libc::EMFILE);
            drop(all);
            let fine = bench.submit(now(false) + milliseconds(1), false);
            bench.finish();
            bench.expect([fine], 0);
        });
    }

    #[test]
    fn a_cancelled_timeout_is_not_told_of_though_a_forked_child_has_its_timer_open() {
        alone(|| {
            let mut bench = Bench::new(Engine::Epoll(Readiness::new(Epoll::new(4).unwrap())));
            let index = bench.submit(now(false) + YEAR, false);
            let number = bench.timeouts[index].op.descriptor().get();
            // SAFETY: takes a number; what it names is open, as the op waits.
            let childs = unsafe { libc::dup(number) };
            assert!(childs >= 0);
            // SAFETY: made just now, so that it is open and nobody else's.
            let childs = unsafe { OwnedFd::from_raw_fd(childs) };
            assert_eq!(bench.cancel(index), CancelOutcome::Done);
            // SAFETY: all zeroes is a valid `itimerspec`.
            let mut now_on: libc::itimerspec = unsafe { std::mem::zeroed() };
            now_on.it_value.tv_nsec = 1;
            // SAFETY: the time is in this frame, and what was set before is not asked for.
            let set = unsafe {
                libc::timerfd_settime(
                    childs.as_raw_fd(),
                    0,
                    &raw const now_on,
                    std::ptr::null_mut(),
                )
            };
            assert_eq!(set, 0);
            let mut poll = libc::pollfd {
                fd: childs.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one entry, in this frame.
            let gone_off = unsafe { libc::poll(&raw mut poll, 1, -1) };
            assert_eq!(gone_off, 1);
            let after = bench.submit(now(false) + milliseconds(1), false);
            bench.finish();
            assert_eq!(bench.order, [index, after]);
        });
    }

    #[test]
    fn the_number_of_a_timer_is_any_others_when_it_is_closed() {
        use std::io::Write as _;
        use std::os::unix::net::UnixStream;

        alone(|| {
            let mut bench = Bench::new(Engine::Epoll(Readiness::new(Epoll::new(4).unwrap())));
            let index = bench.submit(now(false) + YEAR, false);
            let number = bench.timeouts[index].op.descriptor().get();
            bench.cancel(index);
            let (a, mut b) = UnixStream::pair().unwrap();
            assert_eq!(a.as_raw_fd(), number, "the lowest number is taken");
            let byte = Cell::new(0_u8);
            let request = Request::Receive {
                fd: number,
                buffer: byte.as_ptr(),
                len: 1,
                peek: false,
            };
            let op = Op::new(request, 0);
            // SAFETY: the op and its byte are in this frame, and outlive the turns.
            unsafe { bench.engine.submit(&op) };
            b.write_all(b"x").unwrap();
            let mut done = 0;
            while done == 0 {
                bench.engine.turn(Wait::Forever, |_| done += 1).unwrap();
            }
            assert_eq!((op.result(), byte.get()), (1, b'x'));
        });
    }
}
