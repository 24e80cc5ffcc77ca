//! What a stream of bytes promises whichever kind of socket carries it.
//!
//! Each suite that takes this in says at its root what its `Socket` is and what std's is, and hands in connected
//! ones; what its kind alone has is in its own files.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;

use crate::common::settle;
use crate::sockets::{clone_with_other_time_outs, refuses_a_time_out_of_nothing};
use crate::{Socket, StdSocket};

pub(crate) const MIB: usize = 1 << 20;

/// Bytes of which no two neighbourhoods look alike: what is lost, doubled or swapped shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0])
        .collect()
}

/// Sends more than the sockets hold through both directions at once.
pub(crate) fn reads_and_writes_at_once((a, b): (Socket, Socket)) {
    let data = pattern(MIB);
    let send = |stream: &Socket| {
        let mut stream = stream;
        stream.write_all(&data).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    };
    let check = |stream: &Socket| {
        let (mut stream, mut received) = (stream, Vec::new());
        stream.read_to_end(&mut received).unwrap();
        assert!(data == received, "the bytes came changed");
    };
    flux::scope(|s| {
        s.spawn(|| send(&a));
        s.spawn(|| send(&b));
        s.spawn(|| check(&a));
        s.spawn(|| check(&b));
    });
}

/// Shuts one direction, and uses the other.
pub(crate) fn goes_on_in_the_other_direction((mut a, mut b): (Socket, Socket)) {
    a.write_all(b"last").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    b.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last");
    assert_eq!(b.read(&mut [0; 8]).unwrap(), 0, "and again");
    for _ in 0..3 {
        b.write_all(b"more").unwrap();
        let mut buffer = [0; 4];
        a.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"more");
    }
    assert_eq!(a.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Shuts a stream that a fiber waits to read.
pub(crate) fn ends_a_read_that_waits(stream: &Socket) {
    let mut reader = stream;
    flux::scope(|s| {
        let reading = s.spawn(move || reader.read(&mut [0; 8]).unwrap());
        settle();
        stream.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reading.join().unwrap(), 0);
    });
}

/// Clones the first of two streams: one connection, and time-outs of the clone's own.
pub(crate) fn clones_share_the_connection((mut a, mut b): (Socket, Socket)) {
    let mut clone = clone_with_other_time_outs(&a);
    a.write_all(b"a").unwrap();
    clone.write_all(b"b").unwrap();
    let mut buffer = [0; 2];
    b.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"ab");
    let late = a.read(&mut [0; 8]).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    assert!(a.take_error().unwrap().is_none());
    drop(a);
    b.write_all(b"c").unwrap();
    assert_eq!(clone.read(&mut [0; 8]).unwrap(), 1, "still open");
    refuses_a_time_out_of_nothing(&clone);
    let other = clone.try_clone().unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    assert_eq!(b.read(&mut [0; 8]).unwrap(), 0, "shut by any");
}

/// Takes std's end of a connection, uses it, and gives it back.
pub(crate) fn comes_from_std_and_goes_back(client: StdSocket, mut server: Socket) {
    // Multiples of the kernel's own unit for these times, whatever that is.
    const READ: Duration = Duration::from_millis(20);
    const WRITE: Duration = Duration::from_millis(40);
    client.set_nonblocking(true).unwrap();
    client.set_read_timeout(Some(READ)).unwrap();
    client.set_write_timeout(Some(WRITE)).unwrap();
    let mut client = Socket::from_std(client).unwrap();
    assert_eq!(client.read_timeout().unwrap(), Some(READ));
    assert_eq!(client.write_timeout().unwrap(), Some(WRITE));
    let late = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    client.set_read_timeout(None).unwrap();
    client.set_write_timeout(Some(READ)).unwrap();
    SockRef::from(&client).set_nonblocking(true).unwrap();
    let mut client = client.into_std().unwrap();
    assert!(!SockRef::from(&client).nonblocking().unwrap());
    assert_eq!(client.read_timeout().unwrap(), None);
    assert_eq!(client.write_timeout().unwrap(), Some(READ));
    server.write_all(b"std").unwrap();
    let mut buffer = [0; 3];
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"std");
}
