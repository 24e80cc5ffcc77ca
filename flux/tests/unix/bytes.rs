//! What goes through a connection: all of it, in its order, whatever waits, and whoever stops waiting.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};

use flux::net::UnixStream;
use flux::time::{Instant, sleep};
use flux::{spawn, timeout, yield_now};

use crate::common::{fibers, lets_the_others_run, settle};
use crate::streams::{
    MIB, ends_a_read_that_waits, goes_on_in_the_other_direction, pattern, reads_and_writes_at_once,
};
use crate::{ECANCELED, SHORT, code, pair};

#[test]
fn a_large_write_waits_for_its_reader_and_arrives_as_it_was() {
    fibers(|| {
        let (a, b) = pair();
        let sent = pattern(4 * MIB);
        let received = flux::scope(|s| {
            s.spawn(|| {
                (&a).write_all(&sent).unwrap();
                a.shutdown(Shutdown::Write).unwrap();
            });
            sleep(SHORT).unwrap();
            assert_eq!(flux::stats().ops_in_flight, 1, "the writer waits");
            let mut received = Vec::new();
            (&b).read_to_end(&mut received).unwrap();
            received
        });
        assert!(sent == received, "the bytes came changed");
    });
}

#[test]
fn two_fibers_read_and_write_one_stream_at_once() {
    fibers(|| reads_and_writes_at_once(pair()));
}

#[test]
fn a_read_takes_what_there_is_and_waits_for_no_more() {
    fibers(|| {
        let (mut a, mut b) = pair();
        for text in [&b"a"[..], b"bc", b"def"] {
            let mut buffer = [0; 64];
            a.write_all(text).unwrap();
            assert_eq!(b.read(&mut buffer).unwrap(), text.len());
            assert_eq!(&buffer[..text.len()], text);
        }
        assert_eq!(a.write(&[]).unwrap(), 0);
        assert_eq!(b.read(&mut []).unwrap(), 0, "nothing is waited for");
    });
}

#[test]
fn bytes_behind_a_passed_descriptor_are_read_though_nothing_comes_after_them() {
    fibers(|| {
        let (a, b) = pair();
        for round in 0..3 {
            let reading = spawn({
                let b = b.try_clone().unwrap();
                move || {
                    // A read stops behind the bytes that came with a descriptor, whatever it asked for.
                    let (mut bytes, mut all) = ([0; 64], Vec::new());
                    while all.len() < 9 {
                        let count = (&b).read(&mut bytes).unwrap();
                        all.extend_from_slice(&bytes[..count]);
                    }
                    all
                }
            });
            settle();
            (&a).write_all(b"abc").unwrap();
            pass_a_descriptor(&a, b"def");
            (&a).write_all(b"ghi").unwrap();
            assert_eq!(reading.join().unwrap(), b"abcdefghi", "round {round}");
        }
    });
}

/// Sends bytes together with a descriptor, which a reader that does not ask for it never sees.
#[allow(
    unsafe_code,
    reason = "no safe call of std or of a crate in use here passes a descriptor along"
)]
fn pass_a_descriptor(stream: &UnixStream, bytes: &[u8]) {
    let file = std::fs::File::open("/dev/null").unwrap();
    // Aligned as a header has to be, and large enough for one with a descriptor.
    let mut control = [0_u64; 8];
    let mut part = IoSlice::new(bytes);
    // SAFETY: all zeroes is a valid header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: takes a number.
    let space = unsafe { libc::CMSG_SPACE(4) };
    message.msg_controllen = space.try_into().unwrap();
    // SAFETY: the control data is in this frame, and long enough for a header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: takes a number.
    let len = unsafe { libc::CMSG_LEN(4) };
    // SAFETY: points into the control data; its bytes are plain.
    let header = unsafe { &mut *header };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    header.cmsg_len = len.try_into().unwrap();
    // SAFETY: within the control data, which has room for it.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: as above; the place need not be aligned.
    unsafe { data.cast::<i32>().write_unaligned(file.as_raw_fd()) };
    // SAFETY: the header and all that it names are in this frame.
    let sent = unsafe { libc::sendmsg(stream.as_fd().as_raw_fd(), &raw const message, 0) };
    assert_eq!(usize::try_from(sent), Ok(bytes.len()));
}

#[test]
fn shutdown_ends_one_direction_and_a_read_that_waits() {
    fibers(|| {
        goes_on_in_the_other_direction(pair());
        let (a, _b) = pair();
        a.shutdown(Shutdown::Write).unwrap();
        ends_a_read_that_waits(&a);
    });
}

#[test]
fn time_outs_end_reads_and_writes_and_never_early() {
    fibers(|| {
        let (a, b) = pair();
        b.set_read_timeout(Some(SHORT)).unwrap();
        let start = Instant::now();
        let error = (&b).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        a.set_write_timeout(Some(SHORT)).unwrap();
        let (error, start) = loop {
            let start = Instant::now();
            if let Err(error) = (&a).write(&[0; 4096]) {
                break (error, start);
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        b.set_read_timeout(None).unwrap();
        let (near, _far) = pair();
        let late = timeout(SHORT, || (&near).read(&mut [0; 8]));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn bytes_that_meet_a_cancel_are_delivered_or_stay_in_the_socket() {
    fibers(|| {
        let (a, b) = pair();
        for round in 0..200_u8 {
            let reading = spawn({
                let b = b.try_clone().unwrap();
                move || {
                    let mut byte = [0];
                    (&b).read(&mut byte).map(|count| (count, byte[0]))
                }
            });
            settle();
            match round % 3 {
                0 => {
                    (&a).write_all(&[round]).unwrap();
                    reading.cancel();
                }
                1 => {
                    reading.cancel();
                    (&a).write_all(&[round]).unwrap();
                }
                _ => {
                    (&a).write_all(&[round]).unwrap();
                    yield_now().unwrap();
                    reading.cancel();
                }
            }
            let received = match reading.join().unwrap() {
                Ok(received) => received,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(ECANCELED));
                    let mut byte = [0];
                    ((&b).read(&mut byte).unwrap(), byte[0])
                }
            };
            assert_eq!(received, (1, round));
        }
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&b).read(&mut [0; 8]).unwrap(), 0, "none was doubled");
    });
}

#[test]
fn a_cancel_ends_a_read_and_a_write_that_wait_and_every_later_call() {
    fibers(|| {
        let (a, _far) = pair();
        let reading = spawn({
            let a = a.try_clone().unwrap();
            move || (code((&a).read(&mut [0; 8])), code((&a).write(b"x")))
        });
        let writing = spawn(move || {
            loop {
                let code = code((&a).write(&[0; 4096]));
                if code.is_some() {
                    break (code, self::code((&a).read(&mut [0; 8])));
                }
            }
        });
        sleep(SHORT).unwrap();
        assert_eq!(flux::stats().ops_in_flight, 2);
        for waiting in [reading, writing] {
            waiting.cancel();
            let cancelled = (Some(ECANCELED), Some(ECANCELED));
            assert_eq!(waiting.join().unwrap(), cancelled);
        }
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn a_fiber_whose_writes_never_wait_lets_the_others_run() {
    fibers(|| {
        let (a, _b) = pair();
        // As many turns as a socket has room for.
        lets_the_others_run(3, 2, || {
            let parts = [IoSlice::new(b"x"), IoSlice::new(b"y")];
            assert_eq!((&a).write(b"x").unwrap(), 1);
            assert_eq!((&a).write_vectored(&parts).unwrap(), 2);
        });
    });
}
