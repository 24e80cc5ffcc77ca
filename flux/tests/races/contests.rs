//! What can be waited for: each kind of op with what completes it, and the books that must balance after it was
//! done, or stopped, or both at once.
//!
//! Knows nothing of who stops whom, nor of when.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flux::signal::{self, Signal};
use flux::sync::{Receiver, RecvError, SendError, Sender, channel};
use flux::time::{Instant, sleep_until};
use flux::{JoinError, JoinHandle, Stopped, spawn, timeout, yield_now};

use crate::sockets::{Accept, Receive, Write};
use crate::{ECANCELED, PATIENCE, spin_until};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    Cancelled,
    TimedOut,
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::TimedOut => Self::TimedOut,
        }
    }
}

/// How a call of I/O ended, and what it answered if it was done.
pub(crate) fn ended<T>(outcome: io::Result<T>) -> (Ended, Option<T>) {
    match outcome {
        Ok(value) => (Ended::Done, Some(value)),
        Err(error) if error.raw_os_error() == Some(ECANCELED) => (Ended::Cancelled, None),
        Err(error) if error.kind() == ErrorKind::TimedOut => (Ended::TimedOut, None),
        Err(error) => panic!("neither done nor stopped: {error}"),
    }
}

/// What completes an op from any thread.
pub(crate) type Completer = Box<dyn FnOnce() + Send>;

/// One op to be waited for, and what completes it.
pub(crate) trait Contest {
    /// Waits for it once, in the fiber that is stopped.
    fn attempt(&self) -> Ended;

    /// Waits for it in a fiber that has been cancelled already.
    fn attempt_again(&self) -> Ended {
        self.attempt()
    }

    /// Sets the op's own time-out; false if it has none.
    fn set_timeout(&self, _: Option<Duration>) -> bool {
        false
    }

    /// What completes it from another thread, where one can.
    fn completer(&self) -> Option<Completer> {
        None
    }

    /// Completes it, once, from another fiber, and without suspending that.
    fn complete(&self) {
        self.completer().expect("it says how")();
    }

    /// Whether the op is done, though its fiber may not have run since; `before` is what was counted before
    /// that fiber began.
    fn is_done(&self, before: &flux::Stats) -> bool {
        flux::stats().ops_in_flight <= before.ops_in_flight
    }

    /// Whether a cancel may win over an op that is done already: one that brings nothing.
    fn brings_nothing(&self) -> bool {
        false
    }

    /// Balances the books, once it was completed and has ended so; in a fiber that may suspend.
    fn settle_up(&self, ended: Ended);
}

/// Makes one of a kind.
pub(crate) type Maker = fn() -> Rc<dyn Contest>;

/// Every kind, by its name.
pub(crate) const KINDS: [(&str, Maker); 9] = [
    ("read", || Rc::new(Receive::new(false))),
    ("peek", || Rc::new(Receive::new(true))),
    ("write", || Rc::new(Write::new())),
    ("accept", || Rc::new(Accept::new())),
    ("signal", || Rc::new(Wait)),
    ("channel recv", || Rc::new(Take::new())),
    ("channel send", || Rc::new(Put::new())),
    ("join", || Rc::new(Join::new())),
    ("sleep", || Rc::new(Sleep::new())),
];

/// A signal of the process. One at a time.
struct Wait;

const SIGNAL: Signal = Signal::USER1;

impl Contest for Wait {
    fn attempt(&self) -> Ended {
        let (ended, signal) = ended(signal::wait(&[SIGNAL]));
        assert!(signal.is_none_or(|signal| signal == SIGNAL));
        ended
    }

    fn completer(&self) -> Option<Completer> {
        Some(Box::new(|| crate::raise(SIGNAL)))
    }

    fn settle_up(&self, ended: Ended) {
        if ended == Ended::Done {
            let again = timeout(Duration::ZERO, || signal::wait(&[SIGNAL]));
            assert!(again.is_err(), "a signal came twice");
        } else {
            let next = timeout(PATIENCE, || signal::wait(&[SIGNAL]));
            assert_eq!(next.expect("a signal is not lost").unwrap(), SIGNAL);
        }
    }
}

/// A value from an empty channel.
struct Take {
    sender: Sender<u32>,
    receiver: Receiver<u32>,
}

impl Take {
    fn new() -> Self {
        let (sender, receiver) = channel(1);
        Self { sender, receiver }
    }
}

impl Contest for Take {
    fn attempt(&self) -> Ended {
        match self.receiver.recv() {
            Ok(value) => {
                assert_eq!(value, 7);
                Ended::Done
            }
            Err(RecvError::Stopped(stopped)) => stopped.into(),
            Err(RecvError::Closed) => panic!("the sender is there"),
        }
    }

    fn complete(&self) {
        self.sender.try_send(7).unwrap();
    }

    fn is_done(&self, _: &flux::Stats) -> bool {
        true
    }

    fn settle_up(&self, ended: Ended) {
        assert_eq!(self.receiver.try_recv().is_ok(), ended != Ended::Done);
    }
}

/// A value into a full channel.
struct Put {
    sender: Sender<u32>,
    receiver: Receiver<u32>,
}

impl Put {
    fn new() -> Self {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        Self { sender, receiver }
    }
}

impl Contest for Put {
    fn attempt(&self) -> Ended {
        match self.sender.send(2) {
            Ok(()) => Ended::Done,
            Err(SendError::Stopped(value, stopped)) => {
                assert_eq!(value, 2);
                stopped.into()
            }
            Err(SendError::Closed(_)) => panic!("the receiver is there"),
        }
    }

    fn complete(&self) {
        assert_eq!(self.receiver.try_recv().unwrap(), 1);
    }

    fn is_done(&self, _: &flux::Stats) -> bool {
        true
    }

    fn settle_up(&self, ended: Ended) {
        let put = self.receiver.try_recv().ok();
        assert_eq!(put, (ended == Ended::Done).then_some(2));
    }
}

/// Another fiber's end, and what it returned.
struct Join {
    target: Cell<Option<JoinHandle<Rc<()>>>>,
    go: Sender<()>,
    finished: Rc<Cell<bool>>,
    result: Rc<()>,
}

impl Join {
    fn new() -> Self {
        let (go, gone) = channel(1);
        let (finished, result) = (Rc::new(Cell::new(false)), Rc::new(()));
        let target = {
            let (finished, result) = (Rc::clone(&finished), Rc::clone(&result));
            spawn(move || {
                // Whoever stops the fiber that joins, in a shutdown too, does not stop this one.
                flux::shielded(|| gone.recv()).unwrap();
                finished.set(true);
                result
            })
        };
        Self {
            target: Cell::new(Some(target)),
            go,
            finished,
            result,
        }
    }
}

impl Contest for Join {
    fn attempt(&self) -> Ended {
        let target = self.target.take().expect("it is joined once");
        match target.join() {
            Ok(result) => {
                assert!(Rc::ptr_eq(&result, &self.result));
                Ended::Done
            }
            Err(JoinError::Stopped(stopped)) => stopped.into(),
            Err(JoinError::Panicked(payload)) => std::panic::resume_unwind(payload),
        }
    }

    fn attempt_again(&self) -> Ended {
        yield_now().map_or_else(Ended::from, |()| Ended::Done)
    }

    fn complete(&self) {
        self.go.try_send(()).unwrap();
    }

    fn is_done(&self, _: &flux::Stats) -> bool {
        self.finished.get()
    }

    fn settle_up(&self, _: Ended) {
        crate::until(
            "a fiber that nobody joins any more ends all the same",
            || self.finished.get() && Rc::strong_count(&self.result) == 1,
        );
    }
}

/// A moment. Brings nothing, so that a cancel that comes before its fiber runs may win.
struct Sleep {
    at: Instant,
}

impl Sleep {
    /// Before the deadlines of this program and after them, in turns.
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let short = COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let after = Duration::from_micros(if short { 250 } else { 1500 });
        Self {
            at: Instant::now() + after,
        }
    }
}

impl Contest for Sleep {
    fn attempt(&self) -> Ended {
        let slept = sleep_until(self.at);
        assert!(slept.is_err() || Instant::now() >= self.at, "it was early");
        slept.map_or_else(Ended::from, |()| Ended::Done)
    }

    fn complete(&self) {
        spin_until(self.at);
    }

    fn is_done(&self, before: &flux::Stats) -> bool {
        flux::stats().deadlines <= before.deadlines
    }

    fn brings_nothing(&self) -> bool {
        true
    }

    fn settle_up(&self, _: Ended) {}
}
