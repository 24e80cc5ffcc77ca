//! Cancelling, deadlines, shields, the end of main: stopping is a value, and nothing is left behind.

mod common;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::{config, fibers, pair, run, settle};
use flux::net::TcpListener;
use flux::sync::{RecvError, SendError, channel};
use flux::time::{Instant, sleep};
use flux::{JoinError, Stopped, spawn, timeout, yield_now};

const ECANCELED: i32 = 125;
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(2);

#[test]
fn a_cancel_ends_each_kind_of_wait_and_stays() {
    fibers(|| {
        let (stream, _peer) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sleeping = spawn(|| (sleep(LONG), sleep(LONG), yield_now()));
        let reading = spawn(move || {
            let first = (&stream).read(&mut [0; 8]).map_err(|e| e.raw_os_error());
            let again = (&stream).read(&mut [0; 8]).map_err(|e| e.raw_os_error());
            let write = (&stream).write(b"x").map_err(|e| e.raw_os_error());
            (first, again, write)
        });
        let accepting = spawn(move || listener.accept().map(drop).map_err(|e| e.raw_os_error()));
        let joining = spawn(|| spawn(|| sleep(LONG)).join());
        let (sender, receiver) = channel::<u8>(1);
        let receiving = spawn(move || receiver.recv());
        let (full, _kept) = channel::<u8>(1);
        full.try_send(1).unwrap();
        let sending = spawn(move || full.send(2));
        settle();
        sleeping.cancel();
        reading.cancel();
        accepting.cancel();
        joining.cancel();
        receiving.cancel();
        sending.cancel();
        let cancelled = Err(Stopped::Cancelled);
        assert_eq!(sleeping.join().unwrap(), (cancelled, cancelled, cancelled));
        let code = Err(Some(ECANCELED));
        assert_eq!(reading.join().unwrap(), (code, code, code));
        assert_eq!(accepting.join().unwrap(), Err(Some(ECANCELED)));
        let joined = joining.join().unwrap();
        assert!(matches!(
            joined,
            Err(JoinError::Stopped(Stopped::Cancelled))
        ));
        let received = receiving.join().unwrap();
        assert_eq!(received, Err(RecvError::Stopped(Stopped::Cancelled)));
        let sent = sending.join().unwrap();
        assert_eq!(sent, Err(SendError::Stopped(2, Stopped::Cancelled)));
        drop(sender);
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn a_fiber_that_is_cancelled_before_it_runs_still_runs() {
    fibers(|| {
        let handle = spawn(|| (1, yield_now()));
        handle.cancel();
        assert_eq!(handle.join().unwrap(), (1, Err(Stopped::Cancelled)));
    });
}

#[test]
fn data_that_meets_a_cancel_is_delivered_or_stays_in_the_socket() {
    fibers(|| {
        for _ in 0..100 {
            let (stream, mut peer) = pair();
            let other = stream.try_clone().unwrap();
            let reading = spawn(move || {
                let mut buffer = [0; 8];
                let first = (&stream).read(&mut buffer).map_err(|e| e.raw_os_error());
                let second = (&stream).read(&mut buffer).map_err(|e| e.raw_os_error());
                (first, second)
            });
            settle();
            peer.write_all(b"abc").unwrap();
            reading.cancel();
            let (first, second) = reading.join().unwrap();
            assert_eq!(second, Err(Some(ECANCELED)));
            if first != Ok(3) {
                assert_eq!(first, Err(Some(ECANCELED)));
                assert_eq!((&other).read(&mut [0; 8]).unwrap(), 3);
            }
        }
    });
}

#[test]
fn a_value_and_a_cancel_that_meet_lose_no_value() {
    fibers(|| {
        let (sender, receiver) = channel(1);
        let receiver = Rc::new(receiver);
        let receiving = {
            let receiver = Rc::clone(&receiver);
            spawn(move || receiver.recv())
        };
        settle();
        sender.try_send(7).unwrap();
        receiving.cancel();
        assert_eq!(receiving.join().unwrap(), Ok(7));
        let receiving = {
            let receiver = Rc::clone(&receiver);
            spawn(move || receiver.recv())
        };
        settle();
        receiving.cancel();
        sender.try_send(8).unwrap();
        assert_eq!(receiving.join().unwrap(), Ok(8));
    });
}

#[test]
fn destructors_run_when_a_cancelled_fiber_leaves() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    fibers(|| {
        let dropped = Rc::new(Cell::new(false));
        let flag = Flag(Rc::clone(&dropped));
        let handle = spawn(move || -> Result<(), Stopped> {
            let _flag = flag;
            sleep(LONG)
        });
        settle();
        assert!(!dropped.get());
        handle.cancel();
        assert_eq!(handle.join().unwrap(), Err(Stopped::Cancelled));
        assert!(dropped.get());
    });
}

#[test]
fn a_shield_lets_work_finish_and_the_cancel_is_heard_after_it() {
    fibers(|| {
        let (stream, mut peer) = pair();
        let handle = spawn(move || -> io::Result<usize> {
            let mut buffer = [0; 8];
            let n = flux::shielded(|| (&stream).read(&mut buffer))?;
            let after = (&stream).read(&mut buffer).map_err(|e| e.raw_os_error());
            assert_eq!(after, Err(Some(ECANCELED)));
            Ok(n)
        });
        settle();
        handle.cancel();
        settle();
        assert!(!handle.is_finished());
        peer.write_all(b"ack").unwrap();
        assert_eq!(handle.join().unwrap().unwrap(), 3);
    });
}

#[test]
fn a_scope_waits_for_its_children_though_its_parent_was_cancelled() {
    fibers(|| {
        let handle = spawn(|| {
            let ended = Cell::new(false);
            flux::scope(|s| {
                s.spawn(|| {
                    sleep(SHORT).unwrap();
                    ended.set(true);
                });
            });
            (ended.get(), yield_now())
        });
        settle();
        handle.cancel();
        assert_eq!(handle.join().unwrap(), (true, Err(Stopped::Cancelled)));
    });
}

#[test]
fn a_deadline_ends_io_and_sleep_and_says_whose_it_was() {
    fibers(|| {
        let (stream, mut peer) = pair();
        let late = timeout(SHORT, || (&stream).read(&mut [0; 8]));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            timeout(SHORT, || sleep(LONG)).unwrap_err().into_inner(),
            Err(Stopped::TimedOut)
        );
        // No byte is lost, and the next call is not late any more.
        peer.write_all(b"abc").unwrap();
        assert_eq!((&stream).read(&mut [0; 8]).unwrap(), 3);
        // Nothing that suspends takes as long as that: nothing was late.
        assert_eq!(timeout(LONG, || 7).unwrap(), 7);
        peer.write_all(b"abc").unwrap();
        assert_eq!(
            timeout(LONG, || (&stream).read(&mut [0; 8]))
                .unwrap()
                .unwrap(),
            3
        );
        assert_eq!(flux::stats().deadlines, 0);
    });
}

#[test]
fn the_nearest_deadline_counts_and_an_outer_one_is_not_the_inner_ones() {
    fibers(|| {
        // The outer one is nearer: the inner `timeout` did not pass.
        let outer = timeout(SHORT, || {
            let inner = timeout(LONG, || sleep(LONG));
            assert_eq!(inner.unwrap(), Err(Stopped::TimedOut));
            // It has passed for all that follows inside.
            assert_eq!(yield_now(), Err(Stopped::TimedOut));
        });
        assert!(outer.is_err());
        // The inner one is nearer: the outer one has not passed, and goes on to count.
        let outer = timeout(LONG, || {
            assert!(timeout(SHORT, || sleep(LONG)).is_err());
            sleep(SHORT)
        });
        assert_eq!(outer.unwrap(), Ok(()));
        // A sleep that ends before the deadline is no time-out.
        assert_eq!(timeout(LONG, || sleep(SHORT)).unwrap(), Ok(()));
    });
}

#[test]
fn a_deadline_is_taken_back_also_when_its_body_panics() {
    fibers(|| {
        let outcome = std::panic::catch_unwind(|| timeout(SHORT, || panic!("body")));
        assert!(outcome.is_err());
        sleep(2 * SHORT).unwrap();
        yield_now().unwrap();
    });
}

#[test]
fn times_of_nothing_and_of_for_ever_are_fine() {
    fibers(|| {
        sleep(Duration::ZERO).unwrap();
        flux::time::sleep_until(Instant::now()).unwrap();
        let forever = spawn(|| sleep(Duration::MAX));
        let (stream, mut peer) = pair();
        peer.write_all(b"abc").unwrap();
        sleep(SHORT).unwrap();
        // What is there already is delivered, though the time was over before it began.
        let read = timeout(Duration::ZERO, || (&stream).read(&mut [0; 8]));
        assert_eq!(read.unwrap().unwrap(), 3);
        assert!(timeout(Duration::ZERO, || (&stream).read(&mut [0; 8])).is_err());
        assert_eq!(timeout(Duration::MAX, || 1).unwrap(), 1);
        forever.cancel();
        assert_eq!(forever.join().unwrap(), Err(Stopped::Cancelled));
    });
}

#[test]
fn socket_time_outs_are_stds() {
    fibers(|| {
        let (stream, _peer) = pair();
        assert!(stream.set_read_timeout(Some(Duration::ZERO)).is_err());
        stream.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(stream.read_timeout().unwrap(), Some(SHORT));
        let error = (&stream).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The socket's own time-out is not that of the deadline around it.
        let enclosed = timeout(LONG, || (&stream).read(&mut [0; 8]));
        assert_eq!(
            enclosed.unwrap().unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        stream.set_write_timeout(Some(SHORT)).unwrap();
        let error = loop {
            if let Err(error) = (&stream).write(&[0; 8192]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn sleeps_end_in_their_order_and_never_early() {
    fibers(|| {
        let order = std::cell::RefCell::new(Vec::new());
        flux::scope(|s| {
            for ms in [9_u64, 3, 6, 1] {
                let order = &order;
                s.spawn(move || {
                    let start = Instant::now();
                    sleep(Duration::from_millis(ms)).unwrap();
                    assert!(start.elapsed() >= Duration::from_millis(ms));
                    order.borrow_mut().push(ms);
                });
            }
        });
        assert_eq!(*order.borrow(), [1, 3, 6, 9]);
    });
}

#[test]
fn when_main_returns_the_others_are_cancelled_and_awaited() {
    let ended = Rc::new(Cell::new(0));
    let counter = Rc::clone(&ended);
    fibers(move || {
        for _ in 0..10 {
            let ended = Rc::clone(&counter);
            drop(spawn(move || {
                assert_eq!(sleep(LONG), Err(Stopped::Cancelled));
                // Spawned late: born cancelled.
                let child = spawn(yield_now);
                ended.set(ended.get() + 1);
                drop(child);
            }));
        }
        let (stream, peer) = pair();
        let ended = Rc::clone(&counter);
        drop(spawn(move || {
            let _peer = peer;
            let error = (&stream).read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(ECANCELED));
            ended.set(ended.get() + 1);
        }));
        settle();
    });
    assert_eq!(ended.get(), 11);
}

#[test]
fn fibers_that_ignore_their_cancel_are_left_after_the_grace_period() {
    let start = Instant::now();
    let config = config().grace(Duration::from_millis(50));
    let answer = run(config, || {
        drop(spawn(|| flux::shielded(|| sleep(LONG))));
        settle();
        7
    });
    assert_eq!(answer.unwrap(), 7);
    assert!(start.elapsed() >= Duration::from_millis(50));
    fibers(|| ());
}

#[test]
fn a_main_that_panics_cancels_the_others_too() {
    let ended = Rc::new(Cell::new(false));
    let flag = Rc::clone(&ended);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(config(), move || {
            drop(spawn(move || {
                flag.set(sleep(LONG) == Err(Stopped::Cancelled));
            }));
            settle();
            panic!("main");
        })
    }));
    assert!(outcome.is_err());
    assert!(ended.get());
}

#[test]
fn cancelling_ten_thousand_fibers_in_mid_io_leaves_nothing_behind() {
    run(
        config()
            .fibers(10_010)
            .stacks(flux::StackClass::Small, 10_000)
            .prefault(4096),
        || {
            let (stream, _peer) = pair();
            let stream = Rc::new(stream);
            let readers: Vec<_> = (0..10_000)
                .map(|_| {
                    let stream = Rc::clone(&stream);
                    flux::Builder::new()
                        .stack(flux::StackClass::Small)
                        .spawn(move || (&*stream).read(&mut [0; 8]).map_err(|e| e.raw_os_error()))
                })
                .collect();
            settle();
            assert_eq!(flux::stats().ops_in_flight, 10_000);
            for reader in &readers {
                reader.cancel();
            }
            for reader in readers {
                assert_eq!(reader.join().unwrap(), Err(Some(ECANCELED)));
            }
            let stats = flux::stats();
            assert_eq!((stats.ops_in_flight, stats.fibers_in_use), (0, 1));
            assert_eq!((stats.overflow_depth, stats.stacks[0].in_use), (0, 0));
        },
    )
    .unwrap();
}

/// Keeps the core until deadlines that were set before have passed, as a fiber that computes does.
fn compute_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn a_cancel_and_a_deadline_in_the_same_turn_wake_once() {
    fibers(|| {
        loop {
            let three: Vec<_> = (0..3)
                .map(|_| spawn(|| (sleep(SHORT), yield_now())))
                .collect();
            settle();
            if flux::stats().deadlines < 3 {
                // A slow machine took longer than the deadline to come so far: they are in no turn together.
                for fiber in three {
                    drop(fiber.join());
                }
                continue;
            }
            compute_for(2 * SHORT);
            for fiber in &three {
                fiber.cancel();
            }
            for fiber in three {
                let (slept, yielded) = fiber.join().unwrap();
                assert_eq!(slept, Err(Stopped::Cancelled));
                assert_eq!(yielded, Err(Stopped::Cancelled));
            }
            break;
        }
    });
}

#[test]
fn a_cancel_that_meets_a_deadline_wins() {
    fibers(|| {
        loop {
            let (stream, _peer) = pair();
            let reading = spawn(move || {
                timeout(SHORT, || {
                    (&stream).read(&mut [0; 8]).map_err(|e| e.raw_os_error())
                })
            });
            settle();
            if reading.is_finished() {
                // A slow machine took longer than the deadline to come so far: they have not met.
                continue;
            }
            compute_for(2 * SHORT);
            reading.cancel();
            let outcome = reading.join().unwrap();
            assert_eq!(
                outcome.unwrap(),
                Err(Some(ECANCELED)),
                "the deadline ended nothing"
            );
            break;
        }
    });
}
