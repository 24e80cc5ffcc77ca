//! Several buffers by one call, over TCP and over sockets of this machine.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use flux::net::TcpStream;
use flux::time::sleep;
use flux::timeout;
use socket2::SockRef;

use crate::common::{self, fibers, settle};
use crate::streams::{MIB, pattern};
use crate::{ECANCELED, SHORT, code, pair};

/// A stream that is shared by reference, as those of flux are.
trait Stream: 'static {
    fn send(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize>;
    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> std::io::Result<usize>;
    fn finish(&self);
    fn set_nonblocking(&self);
}

macro_rules! stream {
    ($($stream:ty),*) => {$(
        impl Stream for $stream {
            fn send(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
                (&*self).write_vectored(parts)
            }

            fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> std::io::Result<usize> {
                (&*self).read_vectored(buffers)
            }

            fn finish(&self) {
                self.shutdown(Shutdown::Write).unwrap();
            }

            fn set_nonblocking(&self) {
                SockRef::from(self).set_nonblocking(true).unwrap();
            }
        }
    )*};
}

stream!(TcpStream, flux::net::UnixStream);

/// Does the same with a connection of each kind; inside a fiber.
macro_rules! on_both {
    ($check:ident) => {
        fibers(|| {
            let (a, b) = common::pair();
            a.set_nodelay(true).unwrap();
            $check(&a, &b);
            let (a, b) = pair();
            $check(&a, &b);
            assert_eq!(flux::stats().ops_in_flight, 0);
        })
    };
}

#[test]
fn one_call_sends_all_parts_and_one_call_fills_all_buffers() {
    fn check(a: &impl Stream, b: &impl Stream) {
        let parts = [
            IoSlice::new(b""),
            IoSlice::new(b"bid "),
            IoSlice::new(b""),
            IoSlice::new(b"61659"),
            IoSlice::new(b".70"),
        ];
        for round in 0..3 {
            let (mut first, mut second, mut third) = ([0; 2], [0; 3], [0; 64]);
            assert_eq!(a.send(&parts).unwrap(), 12, "round {round}");
            let mut buffers = [
                IoSliceMut::new(&mut []),
                IoSliceMut::new(&mut first),
                IoSliceMut::new(&mut second),
                IoSliceMut::new(&mut []),
                IoSliceMut::new(&mut third),
            ];
            assert_eq!(b.receive(&mut buffers).unwrap(), 12);
            assert_eq!(
                (&first, &second, &third[..7]),
                (b"bi", b"d 6", &b"1659.70"[..])
            );
        }
    }
    on_both!(check);
}

#[test]
fn no_parts_and_empty_ones_are_done_at_once() {
    fn check(a: &impl Stream, b: &impl Stream) {
        assert_eq!(a.send(&[]).unwrap(), 0);
        assert_eq!(a.send(&[IoSlice::new(b""); 5]).unwrap(), 0);
        // Nothing has been sent: these would wait for ever if they waited for bytes.
        assert_eq!(b.receive(&mut []).unwrap(), 0);
        let (mut one, mut two) = ([], []);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(b.receive(&mut buffers).unwrap(), 0);
    }
    on_both!(check);
}

#[test]
fn more_parts_than_the_system_takes_are_taken_in_portions() {
    const PARTS: usize = 5000;
    fn check(a: &impl Stream, b: &impl Stream) {
        let bytes = pattern(PARTS);
        // All empty at first: a call that took those alone would say that nothing can be sent.
        let mut parts = vec![IoSlice::new(b""); 3000];
        parts.extend(bytes.chunks(1).map(IoSlice::new));
        let mut rest = &mut parts[..];
        while !rest.is_empty() {
            let count = a.send(rest).unwrap();
            assert!(count > 0);
            IoSlice::advance_slices(&mut rest, count);
        }
        a.finish();
        let mut received = vec![0; PARTS + 3000];
        let mut end = 0;
        loop {
            let mut buffers: Vec<_> = (0..3000)
                .map(|_| IoSliceMut::new(&mut []))
                .chain(received[end..].chunks_mut(1).map(IoSliceMut::new))
                .collect();
            match b.receive(&mut buffers).unwrap() {
                0 => break,
                count => end += count,
            }
        }
        assert!(received[..end] == bytes, "the bytes came changed");
    }
    on_both!(check);
}

#[test]
fn a_receive_waits_for_its_first_byte_and_a_send_for_room() {
    fn check(a: &impl Stream, b: &impl Stream) {
        let sent = pattern(8 * MIB);
        flux::scope(|s| {
            let receiving = s.spawn(|| {
                let (mut received, mut first, mut second) = (Vec::new(), [0; 1000], [0; 7000]);
                loop {
                    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
                    let count = b.receive(&mut buffers).unwrap();
                    let first_count = count.min(first.len());
                    received.extend_from_slice(&first[..first_count]);
                    received.extend_from_slice(&second[..count - first_count]);
                    if count == 0 {
                        return received;
                    }
                    if received.len() < 20_000 {
                        // Looks away, so that the other side has to wait.
                        sleep(SHORT).unwrap();
                    }
                }
            });
            settle();
            let mut parts: Vec<_> = sent.chunks(100_000).map(IoSlice::new).collect();
            let mut rest = &mut parts[..];
            let mut short = 0;
            while !rest.is_empty() {
                let whole: usize = rest.iter().map(|part| part.len()).sum();
                let count = a.send(rest).unwrap();
                short += usize::from(count < whole);
                IoSlice::advance_slices(&mut rest, count);
            }
            assert!(short > 0, "eight megabytes are more than a socket holds");
            a.finish();
            assert!(receiving.join().unwrap() == sent, "the bytes came changed");
        });
    }
    on_both!(check);
}

#[test]
fn times_and_cancels_end_both_directions() {
    fn check<S: Stream>(a: &S, b: &S) {
        let receive = |stream: &S| {
            let (mut one, mut two) = ([0; 4], [0; 4]);
            stream.receive(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)])
        };
        // A part alone must not be more than there is room for once there is some.
        let fill = |stream: &S| {
            let part = [0; 3000];
            loop {
                if let Err(error) = stream.send(&[IoSlice::new(&part), IoSlice::new(&part)]) {
                    return error;
                }
            }
        };
        let late = timeout(SHORT, || receive(b));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let late = timeout(SHORT, || fill(a));
        assert_eq!(late.unwrap_err().into_inner().kind(), ErrorKind::TimedOut);
        flux::scope(|s| {
            let receiving = s.spawn(|| code(receive(a)));
            let sending = s.spawn(|| fill(a).raw_os_error());
            sleep(SHORT).unwrap();
            assert_eq!(flux::stats().ops_in_flight, 2, "both wait");
            receiving.cancel();
            sending.cancel();
            assert_eq!(receiving.join().unwrap(), Some(ECANCELED));
            assert_eq!(sending.join().unwrap(), Some(ECANCELED));
        });
    }
    on_both!(check);
}

#[test]
fn a_descriptor_that_does_not_block_waits_all_the_same() {
    fn check(a: &impl Stream, b: &impl Stream) {
        b.set_nonblocking();
        flux::scope(|s| {
            let receiving = s.spawn(|| {
                let (mut one, mut two) = ([0; 1], [0; 8]);
                let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
                b.receive(&mut buffers).unwrap()
            });
            settle();
            let parts = [IoSlice::new(b"late"), IoSlice::new(b"r")];
            assert_eq!(a.send(&parts).unwrap(), 5);
            assert_eq!(receiving.join().unwrap(), 5);
        });
    }
    on_both!(check);
}

#[test]
fn a_peer_that_has_gone_is_an_error_and_the_end() {
    fibers(|| {
        let (a, b) = pair();
        drop(b);
        let parts = [IoSlice::new(b"to "), IoSlice::new(b"nobody")];
        let error = a.send(&parts).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let (mut one, mut two) = ([0; 4], [0; 4]);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        for _ in 0..2 {
            assert_eq!(a.receive(&mut buffers).unwrap(), 0);
        }
        // By value as well as by reference.
        let (mut a, mut b) = pair();
        assert_eq!(a.write_vectored(&parts).unwrap(), 9);
        assert_eq!(b.read_vectored(&mut buffers).unwrap(), 8);
        drop(OwnedFd::from(a));
        assert_eq!(b.read_vectored(&mut buffers).unwrap(), 1);
        assert_eq!(b.read_vectored(&mut buffers).unwrap(), 0);
    });
}
