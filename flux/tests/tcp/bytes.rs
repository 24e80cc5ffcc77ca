//! Every byte arrives, once and in its place, whatever the size, the direction and the pace.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;

use flux::spawn;
use flux::time::sleep;

use crate::common::{fibers, pair, settle};
use crate::streams::{
    MIB, ends_a_read_that_waits, goes_on_in_the_other_direction, pattern, reads_and_writes_at_once,
};
use crate::{SHORT, narrow_pair};

#[test]
fn every_byte_of_every_size_comes_back() {
    fibers(|| {
        let (client, server) = pair();
        let echo = spawn(move || {
            let copied = io::copy(&mut &server, &mut &server)?;
            server.shutdown(Shutdown::Write)?;
            io::Result::Ok(copied)
        });
        let mut total = 0;
        for size in [0, 1, 200, 64 * 1024, 5 * MIB] {
            let sent = pattern(size);
            let mut received = vec![0; size];
            flux::scope(|s| {
                s.spawn(|| (&client).write_all(&sent).unwrap());
                (&client).read_exact(&mut received).unwrap();
            });
            assert!(sent == received, "{size} bytes came back changed");
            total += size as u64;
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&client).read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(echo.join().unwrap().unwrap(), total);
    });
}

#[test]
fn a_writer_waits_while_its_reader_sleeps_and_a_write_may_be_short() {
    fibers(|| {
        let (client, server) = narrow_pair();
        let sent = pattern(5 * MIB);
        let written = Cell::new(0);
        let shortest = Cell::new(usize::MAX);
        let received = flux::scope(|s| {
            s.spawn(|| {
                while written.get() < sent.len() {
                    let rest = &sent[written.get()..];
                    let count = (&client).write(rest).unwrap();
                    assert!(count > 0 && count <= rest.len());
                    shortest.set(shortest.get().min(count));
                    written.set(written.get() + count);
                }
                client.shutdown(Shutdown::Write).unwrap();
            });
            sleep(SHORT).unwrap();
            let before = written.get();
            assert!(before > 0 && before < MIB, "{before} bytes were taken");
            assert_eq!(flux::stats().ops_in_flight, 1, "the writer waits");
            sleep(SHORT).unwrap();
            assert_eq!(written.get(), before, "nobody has read");
            let mut received = Vec::new();
            (&server).read_to_end(&mut received).unwrap();
            received
        });
        assert!(sent == received, "the bytes came changed");
        assert!(shortest.get() < MIB);
    });
}

#[test]
fn two_fibers_read_and_write_one_stream_at_once() {
    fibers(|| reads_and_writes_at_once(narrow_pair()));
}

#[test]
fn shutdown_ends_one_direction_and_the_other_goes_on() {
    fibers(|| goes_on_in_the_other_direction(pair()));
}

#[test]
fn a_shutdown_by_another_fiber_ends_a_read_that_waits() {
    fibers(|| {
        let (client, _server) = pair();
        ends_a_read_that_waits(&client);
    });
}

#[test]
fn peeking_takes_nothing() {
    fibers(|| {
        let (client, mut server) = pair();
        flux::scope(|s| {
            let peeking = s.spawn(|| client.peek(&mut [0; 8]).unwrap());
            settle();
            server.write_all(b"price").unwrap();
            assert_eq!(peeking.join().unwrap(), 5, "it waited");
        });
        let mut buffer = [0; 2];
        for _ in 0..3 {
            assert_eq!(client.peek(&mut buffer).unwrap(), 2);
            assert_eq!(&buffer, b"pr");
        }
        let mut all = [0; 5];
        (&client).read_exact(&mut all).unwrap();
        assert_eq!(&all, b"price");
        drop(server);
        assert_eq!(client.peek(&mut buffer).unwrap(), 0);
    });
}

#[test]
fn an_empty_buffer_is_done_at_once() {
    fibers(|| {
        let (mut client, mut server) = pair();
        assert_eq!(client.write(&[]).unwrap(), 0);
        client.write_all(&[]).unwrap();
        client.flush().unwrap();
        // Nothing has been sent: these would wait for ever if they waited for bytes.
        assert_eq!(server.read(&mut []).unwrap(), 0);
        assert_eq!(server.peek(&mut []).unwrap(), 0);
        server.read_exact(&mut []).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut []).unwrap(), 0);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn vectored_calls_keep_the_order_of_their_parts() {
    fibers(|| {
        let (mut client, mut server) = pair();
        let sent = client
            .write_vectored(&[
                IoSlice::new(b""),
                IoSlice::new(b"bid "),
                IoSlice::new(b"61659"),
            ])
            .unwrap();
        assert!((1..=9).contains(&sent), "{sent}");
        client.write_all(&b"bid 61659"[sent..]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        loop {
            let (mut first, mut second) = ([0; 2], [0; 3]);
            let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let count = server.read_vectored(&mut parts).unwrap();
            if count == 0 {
                break;
            }
            let both: Vec<u8> = first.into_iter().chain(second).collect();
            received.extend_from_slice(&both[..count]);
        }
        assert_eq!(received, b"bid 61659");
    });
}
