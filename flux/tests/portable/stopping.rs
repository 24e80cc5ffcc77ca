//! Channels, and every way in which a wait is stopped.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use flux::sync::{RecvError, channel};
use flux::time::sleep;
use flux::{JoinError, Stopped, shielded, spawn, yield_now};

use super::{Flag, LONG, SHORT, config, fibers, run, settle};

#[test]
fn a_full_channel_holds_its_sender_and_keeps_the_order() {
    fibers(|| {
        let (sender, receiver) = channel(2);
        let sent = Rc::new(Cell::new(0));
        let counter = Rc::clone(&sent);
        let producer = spawn(move || {
            for number in 0..10 {
                sender.send(number).unwrap();
                counter.set(number + 1);
            }
        });
        settle();
        assert_eq!(sent.get(), 2, "it waits for room");
        assert_eq!(
            receiver.iter().collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        );
        producer.join().unwrap();
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    });
}

#[test]
fn a_channel_that_nobody_sends_into_is_a_deadlock_and_says_so() {
    let error = run(config(), || {
        let (_sender, receiver) = channel::<u8>(1);
        receiver.recv().ok()
    })
    .unwrap_err();
    assert!(error.to_string().contains("waits for a channel"), "{error}");
}

#[test]
fn a_cancel_ends_each_kind_of_wait_and_stays() {
    fibers(|| {
        let sleeping = spawn(|| (sleep(LONG), sleep(LONG), yield_now()));
        let joining = spawn(|| spawn(|| sleep(LONG)).join().map(drop));
        let (_sender, receiver) = channel::<u8>(1);
        let receiving = spawn(move || receiver.recv());
        settle();
        sleeping.cancel();
        joining.cancel();
        receiving.cancel();
        let cancelled = Err(Stopped::Cancelled);
        assert_eq!(sleeping.join().unwrap(), (cancelled, cancelled, cancelled));
        let joined = joining.join().unwrap();
        assert!(matches!(
            joined,
            Err(JoinError::Stopped(Stopped::Cancelled))
        ));
        let received = receiving.join().unwrap();
        assert_eq!(received, Err(RecvError::Stopped(Stopped::Cancelled)));
    });
}

#[test]
fn a_shield_hides_a_cancel_until_the_work_is_done() {
    fibers(|| {
        let handle = spawn(|| (shielded(|| sleep(SHORT)), sleep(SHORT)));
        settle();
        handle.cancel();
        assert_eq!(handle.join().unwrap(), (Ok(()), Err(Stopped::Cancelled)));
    });
}

#[test]
fn the_others_are_cancelled_when_main_returns_and_leave_their_frames() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Flag(Rc::clone(&dropped));
    fibers(|| {
        drop(spawn(move || {
            let _flag = flag;
            sleep(LONG)
        }));
        settle();
    });
    assert!(dropped.get());
}

#[test]
fn being_stopped_reads_as_an_error_that_no_library_retries() {
    let late = io::Error::from(Stopped::TimedOut);
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    let cancelled = io::Error::from(Stopped::Cancelled);
    let retried = [
        io::ErrorKind::Interrupted,
        io::ErrorKind::WouldBlock,
        io::ErrorKind::TimedOut,
    ];
    assert!(!retried.contains(&cancelled.kind()), "{cancelled:?}");
    assert_ne!(cancelled.raw_os_error(), late.raw_os_error());
    assert!(cancelled.to_string().to_lowercase().contains("cancel"));
}
