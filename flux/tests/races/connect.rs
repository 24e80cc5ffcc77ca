//! Connecting, stopped before the request leaves, while the other side answers, and after that; and where no
//! answer comes, or one comes a second late.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::time::Duration;

use flux::net::TcpStream;
use flux::time::sleep;
use flux::yield_now;
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::{config, descriptors, fibers, run, settle};
use crate::contests::{Contest, Ended, ended};
use crate::race::{Race, Stop, Tally, expect_nothing_left};
use crate::{on_each_engine, until};

/// A connection to be made.
struct Connect {
    address: SocketAddr,
    timeout: Cell<Option<Duration>>,
    stream: RefCell<Option<TcpStream>>,
}

impl Connect {
    fn new(address: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            timeout: Cell::new(None),
            stream: RefCell::new(None),
        })
    }
}

impl Contest for Connect {
    fn attempt(&self) -> Ended {
        let (ended, stream) = ended(match self.timeout.get() {
            Some(timeout) => TcpStream::connect_timeout(&self.address, timeout),
            None => TcpStream::connect(self.address),
        });
        *self.stream.borrow_mut() = stream;
        ended
    }

    fn set_timeout(&self, timeout: Option<Duration>) -> bool {
        self.timeout.set(timeout);
        true
    }

    /// The other side does that.
    fn complete(&self) {}

    fn settle_up(&self, ended: Ended) {
        assert_eq!(self.stream.borrow().is_some(), ended == Ended::Done);
    }
}

/// Expects that of the connections that came to a listener those are alive that were made, and no others.
fn look_at_both_sides(listener: &StdListener, made: &[TcpStream]) {
    let mut alive = 0;
    for stream in made {
        (&*stream).write_all(b"here").unwrap();
    }
    let mut peers = Vec::new();
    until("each connection that was made is there", || {
        while let Ok((peer, address)) = listener.accept() {
            peer.set_nonblocking(false).unwrap();
            let stream = made.iter().find(|one| one.local_addr().unwrap() == address);
            let mut bytes = [0; 4];
            match stream {
                Some(_) => {
                    (&peer).read_exact(&mut bytes).unwrap();
                    assert_eq!(&bytes, b"here");
                    alive += 1;
                }
                // Closed by the one who gave it up.
                None => match (&peer).read(&mut bytes) {
                    Ok(count) => assert_eq!(count, 0),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                },
            }
            peers.push(peer);
        }
        alive == made.len()
    });
}

/// The moments at which a connect is stopped: turns after its fiber was spawned, or when it is done.
const MOMENTS: [Option<u32>; 7] = [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), None];

fn connect_and_stop(listener: &StdListener, stop: Stop, moment: Option<u32>) -> Ended {
    let contest = Connect::new(listener.local_addr().unwrap());
    let after = Duration::from_micros(300);
    let race = Race::begin(Rc::clone(&contest) as Rc<dyn Contest>, stop, after);
    match moment {
        Some(turns) => (0..turns).for_each(|_| yield_now().unwrap()),
        None => until("a connect that is answered ends", || race.has_ended()),
    }
    // One that has not begun has a deadline that cannot be known.
    race.stop_now();
    let ended = race.settle_up();
    let made: Vec<_> = contest.stream.take().into_iter().collect();
    look_at_both_sides(listener, &made);
    ended
}

const STOPS: [Stop; 7] = [
    Stop::Cancel,
    Stop::Shielded,
    Stop::Timeout,
    Stop::Own,
    Stop::InnerThenOuter,
    Stop::OuterThenInner,
    Stop::TimeoutThenCancel,
];

#[test]
fn a_connect_that_is_answered_while_it_is_stopped() {
    on_each_engine(
        "connect::a_connect_that_is_answered_while_it_is_stopped",
        || {
            fibers(|| {
                let listener = StdListener::bind("127.0.0.1:0").unwrap();
                listener.set_nonblocking(true).unwrap();
                let open = descriptors();
                for stop in STOPS {
                    let mut tally = Tally::default();
                    for _ in 0..5 {
                        for moment in MOMENTS {
                            let ended = connect_and_stop(&listener, stop, moment);
                            // Before it has begun, it does not begin.
                            let never = stop == Stop::Cancel && moment == Some(0);
                            assert!(!never || ended == Ended::Cancelled);
                            tally.count(ended);
                            expect_nothing_left(open);
                        }
                    }
                    eprintln!("  {stop:?}: {tally}");
                    assert!(tally.done > 0);
                }
            });
        },
    );
}

/// A listener that has no room for more connections, and what took that.
fn full() -> (StdListener, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let fillers = (0..3).map(|_| {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _under_way = filler.connect(&address);
        filler
    });
    let fillers = fillers.collect();
    (listener.into(), fillers)
}

#[test]
fn a_connect_that_nobody_answers_is_stopped() {
    on_each_engine("connect::a_connect_that_nobody_answers_is_stopped", || {
        fibers(|| {
            let (listener, _fillers) = full();
            let open = descriptors();
            for stop in STOPS.into_iter().filter(|stop| stop.ends_the_op()) {
                for turns in 1..6 {
                    let contest = Connect::new(listener.local_addr().unwrap());
                    let race = Race::begin(contest, stop, Duration::from_micros(300));
                    (0..turns).for_each(|_| yield_now().unwrap());
                    race.stop_now();
                    assert_ne!(race.settle_up(), Ended::Done, "{stop:?}");
                    expect_nothing_left(open);
                }
            }
        });
    });
}

#[test]
fn connects_that_are_answered_late_and_stopped_as_that_happens() {
    on_each_engine(
        "connect::connects_that_are_answered_late_and_stopped_as_that_happens",
        || {
            const CONNECTS: u64 = 60;
            run(config().stacks(flux::StackClass::Medium, 100), || {
                let (listener, fillers) = full();
                let open = descriptors();
                let address = listener.local_addr().unwrap();
                let begun: Vec<_> = (0..CONNECTS)
                    .map(|number| {
                        let contest = Connect::new(address);
                        // Asked again after about a second, which is the system's to know.
                        let (stop, after) = match number % 4 {
                            0 => (Stop::Timeout, Duration::from_millis(1000 + number)),
                            1 => (Stop::Shielded, Duration::ZERO),
                            _ => (Stop::Cancel, Duration::ZERO),
                        };
                        (Rc::clone(&contest), Race::begin(contest, stop, after))
                    })
                    .collect();
                settle();
                assert_eq!(flux::stats().ops_in_flight as u64, CONNECTS);
                // From now on it has room.
                SockRef::from(&listener).listen(128).unwrap();
                until("one of them is answered", || {
                    sleep(Duration::from_micros(50)).unwrap();
                    begun
                        .iter()
                        .any(|(_, race)| race.ended() == Some(Ended::Done))
                });
                for (turn, (_, race)) in begun.iter().enumerate() {
                    race.cancel();
                    if turn % 8 == 7 {
                        yield_now().unwrap();
                    }
                }
                let mut tally = Tally::default();
                let mut made = Vec::new();
                for (contest, race) in begun {
                    tally.count(race.settle_up());
                    made.extend(contest.stream.take());
                }
                eprintln!("  {tally}");
                assert!(tally.done > 0);
                drop(fillers);
                look_at_both_sides(&listener, &made);
                drop(made);
                // The three that were in the way are gone.
                expect_nothing_left(open - 3);
            })
            .unwrap();
        },
    );
}
