//! Feeds: bytes read where they arrive, on every engine (`FLUX_ENGINE`), and on io_uring both ways in which they
//! come: by one request that lasts, and, of a hot socket, by a receive for each `fill`.

mod common;

#[path = "feed/crowd.rs"]
mod crowd;
#[path = "feed/limits.rs"]
mod limits;
#[path = "feed/soundness.rs"]
mod soundness;

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use common::{config, fibers, pair, run};
use flux::net::{Feed, TcpStream, Wire};
use flux::{Idle, spawn, timeout, yield_now};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const KIB: usize = 1024;
/// The smallest memory that a feed can have where pages are of 4 KiB, and whole pages where they are larger.
const BUFFER: usize = 64 * KIB;

/// The byte at a place of an endless stream.
fn byte_at(place: usize) -> u8 {
    u8::try_from(place * 31 % 251).unwrap()
}

fn bytes_from(place: usize, count: usize) -> Vec<u8> {
    (place..place + count).map(byte_at).collect()
}

/// A feed, and the stream that fills it; received by the kernel on its own where it can, or by one receive a time.
fn feed(hot: bool) -> (Feed, TcpStream) {
    let (ours, theirs) = pair();
    ours.set_hot(hot);
    (ours.into_feed().unwrap(), theirs)
}

/// Runs a test in both ways in which bytes come.
fn both_ways(test: fn(bool)) {
    for hot in [false, true] {
        let idle = if hot {
            Idle::SpinThenBlock(Duration::from_micros(50))
        } else {
            Idle::Block
        };
        run(config().feed_buffer(BUFFER).idle(idle), move || test(hot)).unwrap();
    }
}

#[test]
fn the_kernel_fills_feeds_by_itself_where_the_ring_has_proved_that_it_does() {
    fibers(|| {
        let stats = flux::stats();
        if stats.engine != "io_uring" {
            assert!(!stats.feeds_by_kernel);
            return;
        }
        // The tests of this way would test the other one on a kernel that has not got it.
        assert!(
            stats.feeds_by_kernel,
            "this kernel does not fill feeds by itself: it is older than Linux 6.12"
        );
        let (mut feed, mut peer) = feed(false);
        peer.write_all(b"1").unwrap();
        assert_eq!(feed.fill().unwrap(), 1);
        let requests = flux::stats().ops_in_flight;
        for message in 2..100_usize {
            peer.write_all(b"1").unwrap();
            assert_eq!(feed.fill().unwrap(), message);
            assert_eq!(flux::stats().ops_in_flight, requests, "one that lasts");
        }
    });
}

#[test]
fn unread_bytes_are_one_piece_over_the_end_of_the_memory_and_stay_until_they_are_consumed() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        let (mut sent, mut read) = (0, 0);
        // Twelve times round, with a rest that is kept each time.
        while sent < 12 * BUFFER {
            let piece = bytes_from(sent, 10 * KIB - 1);
            sent += piece.len();
            peer.write_all(&piece).unwrap();
            while feed.unread().len() < sent - read {
                feed.fill().unwrap();
            }
            assert_eq!(feed.unread(), bytes_from(read, sent - read));
            let kept = 777.min(feed.unread().len());
            let taken = feed.unread().len() - kept;
            feed.consume(taken);
            read += taken;
            assert_eq!(feed.unread(), bytes_from(read, kept));
        }
    });
}

#[test]
fn the_end_is_told_after_the_last_byte_and_each_time_from_then_on() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        peer.write_all(b"last").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        while feed.fill().unwrap() < 4 {}
        for _ in 0..3 {
            assert_eq!(feed.fill().unwrap(), 4, "no more than before");
        }
        feed.consume(4);
        for _ in 0..3 {
            assert_eq!(feed.fill().unwrap(), 0);
            assert!(feed.fill_buf().unwrap().is_empty());
            assert_eq!(feed.read(&mut [0; 8]).unwrap(), 0);
        }
        feed.write_all(b"the other way is open").unwrap();
        let mut answer = [0; 21];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"the other way is open");
    });
}

#[test]
fn a_reset_is_told_by_name_after_the_bytes_that_came_before_it() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        peer.write_all(b"before").unwrap();
        while feed.fill().unwrap() < 6 {}
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        for _ in 0..3 {
            let error = feed.fill().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(feed.unread(), b"before");
        }
    });
}

#[test]
fn a_wait_that_ends_early_loses_nothing_and_the_next_one_goes_on() {
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        for round in 0..50_usize {
            let elapsed = timeout(MS / 10, || feed.fill()).unwrap_err();
            let error = elapsed.into_inner().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            peer.write_all(&bytes_from(round, 1)).unwrap();
            assert_eq!(feed.fill().unwrap(), round + 1);
        }
        feed.stream().set_read_timeout(Some(MS)).unwrap();
        assert_eq!(feed.fill().unwrap_err().kind(), ErrorKind::TimedOut);
        feed.stream().set_read_timeout(None).unwrap();
        let reader = spawn(move || {
            let error = feed.fill().unwrap_err();
            (feed, error)
        });
        yield_now().unwrap();
        reader.cancel();
        let (mut feed, error) = reader.join().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc_ecanceled()));
        peer.write_all(&bytes_from(50, 1)).unwrap();
        assert_eq!(feed.fill().unwrap(), 51);
        assert_eq!(feed.unread(), bytes_from(0, 51));
    });
}

/// `ECANCELED`, which std has no name for.
fn libc_ecanceled() -> i32 {
    std::io::Error::from(flux::Stopped::Cancelled)
        .raw_os_error()
        .unwrap()
}

#[test]
fn a_feed_is_a_reader_a_buffered_reader_and_a_wire() {
    fn wired(wire: &mut impl Wire) -> usize {
        while wire.unread().len() < 3 {
            wire.fill().unwrap();
        }
        wire.unread_mut()[0] ^= 0xff;
        wire.consume(1);
        wire.capacity()
    }
    both_ways(|hot| {
        let (mut feed, mut peer) = feed(hot);
        peer.write_all(b"one\ntwo\nthree and more").unwrap();
        let mut line = String::new();
        feed.read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
        let mut word = [0; 3];
        feed.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"two");
        assert_eq!(feed.read(&mut []).unwrap(), 0);
        let capacity = wired(&mut feed);
        assert!((BUFFER - BUFFER / 8..=BUFFER).contains(&capacity));
        while feed.fill_buf().unwrap().len() < 14 {
            feed.fill().unwrap();
        }
        assert_eq!(feed.unread(), b"three and more");
        feed.unread_mut().make_ascii_uppercase();
        assert_eq!(feed.unread(), b"THREE AND MORE");
        assert!(format!("{feed:?}").contains("unread: 14"));
    });
}

#[test]
fn a_stream_of_a_listener_that_has_been_read_before_becomes_a_feed() {
    both_ways(|hot| {
        let (ours, mut theirs) = pair();
        theirs.set_hot(hot);
        let mut ours = ours;
        ours.write_all(b"GET / HTTP/1.1\r\n\r\nrest").unwrap();
        let mut head = [0; 18];
        theirs.read_exact(&mut head).unwrap();
        let mut feed = theirs.into_feed().unwrap();
        while feed.fill().unwrap() < 4 {}
        assert_eq!(feed.unread(), b"rest");
    });
}

/// What a random reader does.
#[derive(Clone, Debug)]
enum Act {
    /// Fills, and consumes this share of what is unread, of 256.
    Fill(u8),
    /// Fills within a deadline that may be too near.
    FillWithin(u16),
    /// Gives the core to others so often.
    Yield(u8),
    /// Reads by copy into a buffer of this size.
    Read(u16),
    /// Changes what is unread, and back.
    Change,
    /// Another fiber fills, and is cancelled while it does.
    Cancelled,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => any::<u8>().prop_map(Act::Fill),
        2 => (0..300_u16).prop_map(Act::FillWithin),
        1 => (0..4_u8).prop_map(Act::Yield),
        1 => (1..9000_u16).prop_map(Act::Read),
        1 => Just(Act::Change),
        1 => Just(Act::Cancelled),
    ];
    prop::collection::vec(act, 1..24)
}

/// Checks what is unread against the stream, without a copy of that.
fn check(feed: &Feed, read: usize) {
    for (at, byte) in feed.unread().iter().enumerate() {
        assert_eq!(*byte, byte_at(read + at), "at {}", read + at);
    }
}

/// Follows a script over and over until the stream has ended; how many bytes there were, and whether it was reset.
fn follow(mut feed: Feed, script: &[Act]) -> (usize, bool) {
    let mut read = 0;
    for act in script.iter().cycle() {
        let unread = feed.unread().len();
        let filled = match act {
            Act::Fill(_) => Some(feed.fill()),
            Act::FillWithin(us) => {
                let within = Duration::from_micros(u64::from(*us) + 1);
                match timeout(within, || feed.fill()) {
                    Ok(filled) => Some(filled),
                    Err(elapsed) => Some(elapsed.into_inner()),
                }
            }
            Act::Yield(times) => {
                for _ in 0..*times {
                    yield_now().unwrap();
                }
                None
            }
            Act::Read(count) => {
                let mut buffer = vec![0; usize::from(*count)];
                match feed.read(&mut buffer) {
                    Ok(0) => return (read, false),
                    Ok(count) => {
                        assert_eq!(buffer[..count], bytes_from(read, count));
                        read += count;
                        None
                    }
                    Err(error) => Some(Err(error)),
                }
            }
            Act::Change => {
                for _ in 0..2 {
                    for byte in feed.unread_mut() {
                        *byte = !*byte;
                    }
                }
                None
            }
            Act::Cancelled => {
                let reader = spawn(move || {
                    let filled = feed.fill();
                    (feed, filled)
                });
                yield_now().unwrap();
                reader.cancel();
                let (back, filled) = reader.join().unwrap();
                feed = back;
                Some(filled)
            }
        };
        check(&feed, read);
        match filled {
            Some(Ok(count)) if count == unread => return (read + count, false),
            Some(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                return (read + unread, true);
            }
            Some(Err(error)) if error.kind() == ErrorKind::StorageFull => {
                assert!(feed.unread().len() >= feed.capacity());
                read += unread / 2;
                feed.consume(unread / 2);
            }
            Some(Err(error)) => assert!(
                error.kind() == ErrorKind::TimedOut
                    || error.raw_os_error() == Some(libc_ecanceled()),
                "{error}"
            ),
            _ => {}
        }
        if let Act::Fill(share) = act {
            let taken = feed.unread().len() * usize::from(*share) / 255;
            feed.consume(taken);
            read += taken;
            check(&feed, read);
        }
    }
    unreachable!("a script that goes round has no end")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_read_in_its_order_however_it_is_read(
        pieces in prop::collection::vec(prop_oneof![1..100_usize, 100..5000_usize, 5000..40_000_usize], 1..40),
        script in acts(),
        hot in any::<bool>(),
        reset in any::<bool>(),
    ) {
        // A script that neither fills nor reads would go round for ever.
        let mut script = script;
        script.push(Act::Fill(200));
        let sent = pieces.iter().sum::<usize>();
        let (read, was_reset) = run(config().feed_buffer(BUFFER), move || {
            let (feed, mut peer) = feed(hot);
            let writer = spawn(move || {
                let mut place = 0;
                for piece in pieces {
                    peer.write_all(&bytes_from(place, piece)).unwrap();
                    place += piece;
                    if piece % 3 == 0 {
                        yield_now().unwrap();
                    }
                }
                if reset {
                    socket2::SockRef::from(&peer)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                }
            });
            let read = follow(feed, &script);
            writer.join().unwrap();
            assert_eq!(settled_feeds(), 0);
            read
        })
        .unwrap();
        if was_reset {
            // What the other side had sent and the system not yet delivered is gone with the connection.
            prop_assert!(reset && read <= sent, "{read} of {sent}");
        } else {
            prop_assert!(!reset);
            prop_assert_eq!(read, sent);
        }
    }
}

/// How many feeds are in use once the kernel has answered what it was asked.
fn settled_feeds() -> usize {
    for _ in 0..100 {
        if flux::stats().feeds_in_use == 0 {
            break;
        }
        flux::time::sleep(MS).unwrap();
    }
    flux::stats().feeds_in_use
}
