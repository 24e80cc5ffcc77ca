//! Single calls that the kernel refuses: the fiber that made it gets the code, and nobody else does.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use flux::net::{TcpListener, TcpStream};

use crate::bystander::Bystander;
use crate::filter::{Refused, refuse};
use crate::{LOCALHOST, code, in_each, on_each_engine, pair, unharmed};

#[test]
fn a_socket_for_which_there_is_no_memory_fails_the_connect_that_wanted_it() {
    on_each_engine(
        "calls::a_socket_for_which_there_is_no_memory_fails_the_connect_that_wanted_it",
        || {
            unharmed(|| {
                let echo = Bystander::start();
                if refuse(&[Refused::with(
                    libc::SYS_socket,
                    libc::AF_INET6,
                    libc::ENOMEM,
                )]) {
                    for _ in 0..3 {
                        assert_eq!(code(TcpStream::connect("[::1]:9")), Some(libc::ENOMEM));
                        assert_eq!(code(TcpListener::bind("[::1]:0")), Some(libc::ENOMEM));
                        echo.goes_on(5);
                    }
                    drop(pair());
                }
                echo.end();
            });
        },
    );
}

#[test]
fn an_accept_that_the_kernel_fails_says_so_and_loses_no_connection() {
    // With io_uring the kernel accepts by itself: no call is there to be filtered.
    in_each(
        "calls::an_accept_that_the_kernel_fails_says_so_and_loses_no_connection",
        &[&[("FLUX_ENGINE", "epoll")]],
        || {
            const CODES: [i32; 3] = [libc::ENOMEM, libc::ENFILE, libc::ECONNABORTED];
            unharmed(|| {
                let echo = Bystander::start();
                let listeners = CODES.map(|_| TcpListener::bind(LOCALHOST).unwrap());
                let calls = [0, 1, 2].map(|at: usize| {
                    Refused::with(libc::SYS_accept4, listeners[at].as_raw_fd(), CODES[at])
                });
                if !refuse(&calls) {
                    return echo.end();
                }
                // All stay open: a number that is free would be the next one's.
                for (listener, expected) in listeners.iter().zip(CODES) {
                    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    for _ in 0..3 {
                        assert_eq!(code(listener.accept()), Some(expected));
                    }
                    client.write_all(b"still here").unwrap();
                    // The same socket under another number is not refused.
                    let (mut accepted, _) = listener.try_clone().unwrap().accept().unwrap();
                    let mut bytes = [0; 10];
                    accepted.read_exact(&mut bytes).unwrap();
                    assert_eq!(&bytes, b"still here");
                    echo.goes_on(5);
                }
                echo.end();
            });
        },
    );
}

#[test]
fn a_read_that_fails_while_it_waits_says_so_to_its_fiber_alone() {
    in_each(
        "calls::a_read_that_fails_while_it_waits_says_so_to_its_fiber_alone",
        &[&[("FLUX_ENGINE", "epoll")]],
        || {
            unharmed(|| {
                let echo = Bystander::start();
                let (near, mut far) = pair();
                let fd = near.as_raw_fd();
                let reading = flux::spawn(move || (code((&near).read(&mut [0; 8])), near));
                echo.goes_on(5);
                if !refuse(&[Refused::with(libc::SYS_recvfrom, fd, libc::ECONNRESET)]) {
                    reading.cancel();
                    reading.join().unwrap();
                    return echo.end();
                }
                far.write_all(b"x").unwrap();
                let (failed, near) = reading.join().unwrap();
                assert_eq!(failed, Some(libc::ECONNRESET));
                for _ in 0..3 {
                    assert_eq!(code((&near).read(&mut [0; 8])), Some(libc::ECONNRESET));
                }
                // The other direction works.
                (&near).write_all(b"y").unwrap();
                assert_eq!(far.read(&mut [0; 8]).unwrap(), 1);
                echo.end();
            });
        },
    );
}

#[test]
fn a_write_that_fails_says_so_to_its_fiber_alone() {
    on_each_engine(
        "calls::a_write_that_fails_says_so_to_its_fiber_alone",
        || {
            const CODES: [i32; 4] = [libc::ENOBUFS, libc::ENOMEM, libc::EPIPE, libc::ECONNRESET];
            unharmed(|| {
                let echo = Bystander::start();
                let mut pairs = CODES.map(|_| pair());
                let calls = [0, 1, 2, 3].map(|at: usize| {
                    Refused::with(libc::SYS_sendto, pairs[at].0.as_raw_fd(), CODES[at])
                });
                if !refuse(&calls) {
                    return echo.end();
                }
                for ((near, far), expected) in pairs.iter_mut().zip(CODES) {
                    for _ in 0..3 {
                        assert_eq!(code(near.write(b"x")), Some(expected));
                    }
                    // The other direction works, and so does the connection under another number.
                    far.write_all(b"y").unwrap();
                    assert_eq!(near.read(&mut [0; 8]).unwrap(), 1);
                    near.try_clone().unwrap().write_all(b"z").unwrap();
                    assert_eq!(far.read(&mut [0; 8]).unwrap(), 1, "nothing else was sent");
                    echo.goes_on(5);
                }
                echo.end();
            });
        },
    );
}
