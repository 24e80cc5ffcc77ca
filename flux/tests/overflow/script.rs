//! Connections whose fibers do what a script says, and the ledger of what became of it.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::time::sleep;
use flux::{Builder, Scope, ScopedJoinHandle, StackClass, spawn, yield_now};
use proptest::prelude::*;
use socket2::SockRef;

// The unit tests of the reactor play scripts too, against a kernel that refuses.
use super::{ECANCELED, is_refusal, small, socket_pair};

/// The longest write, and the longest read.
const BYTES_MAX: usize = 20_000;

/// The two ends of a connection over loopback.
fn tcp_pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().unwrap();
    let client = spawn(move || insist(|| TcpStream::connect(address)));
    let mut server = insist(|| listener.accept());
    let client = client.join().unwrap();
    // What a refused attempt left behind is before it.
    while server.1 != client.local_addr().unwrap() {
        server = insist(|| listener.accept());
    }
    let server = server.0;
    for end in [&client, &server] {
        SockRef::from(end).set_send_buffer_size(4096).unwrap();
        SockRef::from(end).set_recv_buffer_size(65536).unwrap();
    }
    (client, server)
}

/// Does an operation until it is not refused.
fn insist<T>(mut operation: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match operation() {
            Err(error) if is_refusal(&error) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

/// What a fiber does next. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads or writes so many bytes at the most, as its role is.
    Move(usize),
    /// The same, with a deadline.
    MoveBefore(usize, u64),
    /// The same with two deadlines, one inside the other.
    MoveBeforeBoth(usize, u64, u64),
    /// Looks at bytes without taking them; a writer connects and goes away instead.
    Look(usize, u64),
    Sleep(u64),
    SleepBefore(u64, u64),
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    let time = || 0_u64..400;
    prop_oneof![
        6 => (1..BYTES_MAX).prop_map(Step::Move),
        3 => (1..BYTES_MAX, time()).prop_map(|(bytes, time)| Step::MoveBefore(bytes, time)),
        1 => (1..BYTES_MAX, time(), time())
            .prop_map(|(bytes, outer, inner)| Step::MoveBeforeBoth(bytes, outer, inner)),
        1 => (1..BYTES_MAX, time()).prop_map(|(bytes, time)| Step::Look(bytes, time)),
        1 => time().prop_map(Step::Sleep),
        1 => (time(), time()).prop_map(|(time, end)| Step::SleepBefore(time, end)),
        1 => Just(Step::Yield),
    ]
}

/// One direction of a connection: what its writer and its reader do.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    writer: Vec<Step>,
    reader: Vec<Step>,
}

pub(crate) fn script() -> impl Strategy<Value = Script> {
    let steps = || proptest::collection::vec(step(), 0..10);
    (steps(), steps()).prop_map(|(writer, reader)| Script { writer, reader })
}

/// What is known of a direction: how far each side has come, and what it was told.
struct Direction<'a> {
    number: usize,
    from: &'a TcpStream,
    to: &'a TcpStream,
    elsewhere: SocketAddr,
    written: Cell<usize>,
    read: Cell<usize>,
    /// Whether the writer, and the reader, was cancelled.
    cancelled: [Cell<bool>; 2],
}

/// The sums of a whole run.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) begun: Cell<u64>,
    pub(crate) ended: Cell<u64>,
    late: Cell<u64>,
    cancelled: Cell<u64>,
}

/// Why a script ended before its last step.
struct Cancelled;

fn add_one(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Ledger {
    /// Does an operation and books its end: with a value, too late if it may be, cancelled if it was, refused.
    fn book<T>(
        &self,
        cancelled: &Cell<bool>,
        may_be_late: bool,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Result<Option<T>, Cancelled> {
        let in_progress = Cell::new(true);
        add_one(&self.begun);
        let outcome = operation();
        assert!(in_progress.replace(false), "an operation ended twice");
        add_one(&self.ended);
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::TimedOut && may_be_late => {
                add_one(&self.late);
                Ok(None)
            }
            Err(error) if error.raw_os_error() == Some(ECANCELED) && cancelled.get() => {
                add_one(&self.cancelled);
                Err(Cancelled)
            }
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => panic!("no legal end of an operation: {error:?}"),
        }
    }
}

/// Runs an operation with a deadline, and checks that the two agree on what happened.
fn before<T>(end_us: u64, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match flux::timeout(Duration::from_micros(end_us), operation) {
        Ok(outcome) => outcome,
        Err(late) => {
            let error = late.into_inner().map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            Err(error)
        }
    }
}

/// The byte at a place of a direction's stream.
fn byte(direction: usize, at: usize) -> u8 {
    ((at.wrapping_mul(0x9e37_79b9) >> 11) ^ direction).to_le_bytes()[0]
}

impl Direction<'_> {
    fn expect(&self, bytes: &[u8]) {
        let at = self.read.get();
        let right = (at..).zip(bytes).all(|(at, b)| *b == byte(self.number, at));
        assert!(right, "bytes lost, doubled or swapped behind {at}");
    }

    fn write(&self, count: usize) -> io::Result<usize> {
        let at = self.written.get();
        let bytes: Vec<u8> = (at..at + count).map(|at| byte(self.number, at)).collect();
        let mut from = self.from;
        let count = from.write(&bytes)?;
        assert!(count > 0 && count <= bytes.len());
        self.written.set(at + count);
        Ok(count)
    }

    fn read(&self, count: usize) -> io::Result<usize> {
        let mut buffer = vec![0; count];
        let mut to = self.to;
        let count = to.read(&mut buffer)?;
        self.expect(&buffer[..count]);
        self.read.set(self.read.get() + count);
        Ok(count)
    }

    fn peek(&self, count: usize) -> io::Result<usize> {
        let mut buffer = vec![0; count];
        let count = self.to.peek(&mut buffer)?;
        self.expect(&buffer[..count]);
        Ok(count)
    }

    /// Follows a script, until its end or a cancel.
    fn follow(&self, steps: &[Step], writes: bool, ledger: &Ledger) -> Result<(), Cancelled> {
        let cancelled = &self.cancelled[usize::from(!writes)];
        let transfer = |count| {
            if writes {
                self.write(count)
            } else {
                self.read(count)
            }
        };
        for step in steps {
            let may_be_late = matches!(
                step,
                Step::MoveBefore(..)
                    | Step::MoveBeforeBoth(..)
                    | Step::Look(..)
                    | Step::SleepBefore(..)
            );
            ledger.book(cancelled, may_be_late, || match *step {
                Step::Move(count) => transfer(count).map(drop),
                Step::MoveBefore(count, end) => before(end, || transfer(count)).map(drop),
                Step::MoveBeforeBoth(count, outer, inner) => {
                    before(outer, || before(inner, || transfer(count))).map(drop)
                }
                Step::Look(_, end) if writes => {
                    before(end, || TcpStream::connect(self.elsewhere)).map(drop)
                }
                Step::Look(count, end) => before(end, || self.peek(count)).map(drop),
                Step::Sleep(time) => Ok(sleep(Duration::from_micros(time))?),
                Step::SleepBefore(time, end) => {
                    before(end, || Ok(sleep(Duration::from_micros(time))?))
                }
                Step::Yield => Ok(yield_now()?),
            })?;
        }
        Ok(())
    }

    /// What is left to do when a script has ended, by a fiber that nobody cancels.
    fn finish(&self, writes: bool) {
        if writes {
            self.from.shutdown(Shutdown::Write).unwrap();
        } else {
            while insist(|| self.read(BYTES_MAX)) > 0 {}
        }
    }
}

/// Ends a connection when a fiber of it fails, so that the others do not wait for that fiber for ever.
struct EndOnPanic<'a>(&'a Direction<'a>);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for stream in [self.0.from, self.0.to] {
                // The first panic is the one to hear of.
                let _ended_already = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Spawns a side of a direction, which leaves what it does not come to, to another fiber.
fn side<'scope>(
    s: &'scope Scope<'scope, '_>,
    direction: &'scope Direction<'_>,
    steps: &'scope [Step],
    writes: bool,
    ledger: &'scope Ledger,
) -> ScopedJoinHandle<'scope, ()> {
    s.spawn_fiber(small("script", move || {
        let _end = EndOnPanic(direction);
        if direction.follow(steps, writes, ledger).is_err() {
            let still_cancelled = yield_now().is_err();
            assert!(still_cancelled, "a cancel stays");
        }
        s.spawn_fiber(small("finish", move || {
            let _end = EndOnPanic(direction);
            direction.finish(writes);
        }));
    }))
}

/// Runs the scripts, a pair of them to a connection, and cancels whom `cancels` names, after a time.
pub(crate) fn play(scripts: &[Script], cancels: &[(u64, prop::sample::Index)]) -> Ledger {
    let ledger = Ledger::default();
    let listener = Rc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let streams: Vec<_> = (0..scripts.len().div_ceil(2))
        .map(|number| {
            if number % 3 == 0 {
                tcp_pair(&listener)
            } else {
                socket_pair()
            }
        })
        .collect();
    let elsewhere = listener.local_addr().unwrap();
    let directions: Vec<Direction<'_>> = (0..scripts.len())
        .map(|number| {
            let (a, b) = &streams[number / 2];
            let (from, to) = if number % 2 == 0 { (a, b) } else { (b, a) };
            Direction {
                number,
                from,
                to,
                elsewhere,
                written: Cell::new(0),
                read: Cell::new(0),
                cancelled: [Cell::new(false), Cell::new(false)],
            }
        })
        .collect();
    let accepting = {
        let listener = Rc::clone(&listener);
        Builder::new().stack(StackClass::Small).spawn(move || {
            let mut errors = listener.incoming().filter_map(Result::err);
            errors.find(|error| !is_refusal(error))
        })
    };
    flux::scope(|s| {
        let mut sides = Vec::new();
        for (direction, script) in directions.iter().zip(scripts) {
            sides.push(side(s, direction, &script.writer, true, &ledger));
            sides.push(side(s, direction, &script.reader, false, &ledger));
        }
        for (pause_us, whom) in cancels {
            sleep(Duration::from_micros(*pause_us)).unwrap();
            let whom = whom.index(sides.len());
            directions[whom / 2].cancelled[whom % 2].set(true);
            sides[whom].cancel();
        }
    });
    for direction in &directions {
        assert_eq!(direction.read.get(), direction.written.get());
    }
    accepting.cancel();
    let error = accepting
        .join()
        .unwrap()
        .expect("it accepts until an error");
    assert_eq!(error.raw_os_error(), Some(ECANCELED));
    ledger
}
