//! Ten thousand fibers in the middle of everything that can be waited for, cancelled at once.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use flux::net::{TcpListener, TcpStream};
use flux::sync::channel;
use flux::time::{Instant, sleep};
use flux::{Builder, JoinHandle, StackClass, Stopped};

use crate::common::{config, descriptors, run, settle};
use crate::contests::{Ended, ended};
use crate::race::{Tally, expect_nothing_left};
use crate::sockets::{WRITTEN, ends, fill, unread};
use crate::{LONG, catch, on_each_engine};

const FIBERS: usize = 10_000;
/// Connections that they share.
const PAIRS: usize = 50;

fn small(body: impl FnOnce() -> Ended + 'static) -> JoinHandle<Ended> {
    Builder::new().stack(StackClass::Small).spawn(body)
}

/// Both ends of a connection, of which `here` has sent all that fits.
struct Wire {
    here: TcpStream,
    there: UnixStream,
    written: Cell<usize>,
}

impl Wire {
    fn new() -> Self {
        let (here, there) = ends();
        fill(&here);
        Self {
            here,
            there,
            written: Cell::new(0),
        }
    }
}

/// What became of the bytes that were sent to those who read.
#[derive(Default)]
struct Bytes {
    sent: Cell<usize>,
    read: Cell<usize>,
}

/// Begins the fiber of this number: what it waits for is as the number says.
fn begin(
    number: usize,
    wires: &[Rc<Wire>],
    listener: &Rc<TcpListener>,
    bytes: &Rc<Bytes>,
) -> JoinHandle<Ended> {
    let wire = Rc::clone(&wires[number % PAIRS]);
    let (bytes, listener) = (Rc::clone(bytes), Rc::clone(listener));
    match number / PAIRS % 10 {
        0..=3 => small(move || {
            let (ended, count) = ended((&wire.here).read(&mut [0]));
            bytes.read.set(bytes.read.get() + count.unwrap_or(0));
            ended
        }),
        4 => small(move || ended(wire.here.peek(&mut [0])).0),
        5 | 6 => small(move || {
            let (ended, count) = ended((&wire.here).write(&[WRITTEN; 10]));
            wire.written.set(wire.written.get() + count.unwrap_or(0));
            ended
        }),
        7 => small(move || ended(listener.accept()).0),
        8 => small(move || {
            let (sender, receiver) = channel::<u8>(1);
            let taken = receiver.recv();
            drop(sender);
            taken.map_or(Ended::Cancelled, |_| Ended::Done)
        }),
        _ if number.is_multiple_of(2) => small(|| match sleep(LONG) {
            Err(Stopped::Cancelled) => Ended::Cancelled,
            other => panic!("{other:?}"),
        }),
        _ => small(|| ended(flux::signal::wait(&[flux::signal::Signal::USER1])).0),
    }
}

/// Cancels them all, in one turn, so many turns after bytes have come for some of those who read.
fn cancel_all(bytes_each: usize, turns: u32) {
    let config = config()
        .fibers(FIBERS + 16)
        .stacks(StackClass::Small, FIBERS)
        .prefault(4096);
    run(config, move || {
        let wires: Vec<_> = (0..PAIRS).map(|_| Rc::new(Wire::new())).collect();
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let bytes = Rc::new(Bytes::default());
        let open = descriptors();
        let fibers: Vec<_> = (0..FIBERS)
            .map(|number| begin(number, &wires, &listener, &bytes))
            .collect();
        while flux::stats().ops_in_flight + flux::stats().deadlines < FIBERS * 9 / 10 {
            flux::yield_now().unwrap();
        }
        settle();
        for wire in &wires {
            (&wire.there).write_all(&vec![1; bytes_each]).unwrap();
            bytes.sent.set(bytes.sent.get() + bytes_each);
        }
        for _ in 0..turns {
            flux::yield_now().unwrap();
        }
        let start = Instant::now();
        for fiber in &fibers {
            fiber.cancel();
        }
        let asked = start.elapsed();
        let mut tally = Tally::default();
        for fiber in fibers {
            tally.count(fiber.join().unwrap());
        }
        let ended = start.elapsed();
        let engine = flux::stats().engine;
        eprintln!(
            "  {engine}: {FIBERS} fibers cancelled in {asked:?}, all ended after {ended:?}: {tally}"
        );
        if bytes_each == 0 {
            assert_eq!(tally.cancelled as usize, FIBERS);
        }
        expect_nothing_left(open);
        // Each byte was read, or can be; each connection goes on.
        let mut left = 0;
        for wire in &wires {
            left += unread(&wire.here).len();
            let arrived = unread(&wire.there);
            let written = arrived.iter().filter(|byte| **byte == WRITTEN);
            assert_eq!(written.count(), wire.written.get());
            (&wire.here).write_all(b"next").unwrap();
            assert_eq!(unread(&wire.there), b"next");
        }
        assert_eq!(bytes.read.get() + left, bytes.sent.get());
        expect_nothing_left(open);
    })
    .unwrap();
}

#[test]
fn ten_thousand_fibers_cancelled_in_mid_io() {
    on_each_engine("many::ten_thousand_fibers_cancelled_in_mid_io", || {
        catch();
        cancel_all(0, 0);
        for turns in 0..4 {
            cancel_all(30, turns);
        }
    });
}
