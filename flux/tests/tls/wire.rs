//! What the wire below may do: fail now and then, or for good.

use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use flux::Stopped;
use flux::net::Wire;
use flux::tls::{Error, Fault};

use crate::certificates::{HOST, offers};
use crate::memory::{Memory, Peer};
use crate::{Ends, connected, fault, fill_all, tls13};

fn cancelled() -> io::Error {
    Stopped::Cancelled.into()
}

#[test]
fn a_read_that_was_timed_out_or_cancelled_may_be_repeated() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        peer.borrow_mut().send(b"whole");
        peer.borrow_mut().chunks = [1, 5, 3].into();
        peer.borrow_mut().refuse_fill = [cancelled(), ErrorKind::TimedOut.into()].into();
        let error = stream.fill().unwrap_err();
        assert_eq!(error.raw_os_error(), cancelled().raw_os_error());
        assert_eq!(stream.fill().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(stream.fill().unwrap(), 5);
        assert_eq!(stream.unread(), b"whole");
    }
}

#[test]
fn a_wire_that_fails_for_good_breaks_the_stream_by_its_own_error() {
    let (mut stream, peer) = connected(&tls13());
    fill_all(&mut stream);
    let reset = io::Error::from_raw_os_error(104);
    let kind = reset.kind();
    peer.borrow_mut().refuse_fill = [reset].into();
    let error = stream.fill().unwrap_err();
    assert_eq!((error.raw_os_error(), error.kind()), (Some(104), kind));
    for _ in 0..2 {
        assert_eq!(stream.fill().unwrap_err().raw_os_error(), Some(104));
        assert_eq!(stream.write(b"x").unwrap_err().raw_os_error(), Some(104));
    }
}

#[test]
fn a_write_of_which_nothing_left_may_be_repeated() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        peer.borrow_mut().writes = [Err(cancelled()), Err(ErrorKind::TimedOut.into())].into();
        let error = stream.write(b"first try").unwrap_err();
        assert_eq!(error.raw_os_error(), cancelled().raw_os_error());
        assert_eq!(
            stream.write(b"second").unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        stream.write_all(b"third").unwrap();
        stream.write_all(b", fourth").unwrap();
        assert_eq!(peer.borrow().received, b"third, fourth");
        assert_eq!(peer.borrow().fault, None);
    }
}

#[test]
fn a_write_goes_on_where_the_wire_took_a_part() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        peer.borrow_mut().writes = [Ok(1), Ok(3), Err(ErrorKind::Interrupted.into()), Ok(7)].into();
        stream.write_all(b"in pieces").unwrap();
        assert_eq!(peer.borrow().received, b"in pieces");
    }
}

#[test]
fn a_record_that_left_in_part_is_the_last() {
    for error in [
        cancelled(),
        ErrorKind::TimedOut.into(),
        ErrorKind::BrokenPipe.into(),
    ] {
        let (mut stream, peer) = connected(&tls13());
        let kind = error.kind();
        peer.borrow_mut().writes = [Ok(4), Err(error)].into();
        assert_eq!(stream.write(b"half").unwrap_err().kind(), kind);
        let written = peer.borrow().written;
        for _ in 0..2 {
            assert_eq!(fault(&stream.write(b"x").unwrap_err()), Fault::PartialWrite);
            assert_eq!(fault(&stream.close().unwrap_err()), Fault::PartialWrite);
        }
        // Reading goes on.
        peer.borrow_mut().send(b"still");
        assert_eq!(fill_all(&mut stream), 5);
        drop(stream);
        assert_eq!(
            peer.borrow().written,
            written,
            "nothing follows half a record"
        );
    }
}

#[test]
fn a_record_in_which_the_wire_panicked_is_the_last_so_that_its_nonce_is_not_used_again() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        peer.borrow_mut().writes = [Ok(20)].into();
        peer.borrow_mut().panics = true;
        let panicked = catch_unwind(AssertUnwindSafe(|| stream.write(b"an order, in part")));
        assert!(panicked.is_err());
        let written = peer.borrow().written;
        assert_eq!(fault(&stream.write(b"x").unwrap_err()), Fault::PartialWrite);
        assert_eq!(fault(&stream.close().unwrap_err()), Fault::PartialWrite);
        drop(stream);
        // Nor does what is said as the stream is dropped while it unwinds.
        let (mut stream, other) = connected(&offer);
        let before = other.borrow().written;
        other.borrow_mut().writes = [Ok(20)].into();
        other.borrow_mut().panics = true;
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            stream
                .write(b"an order, in part")
                .map(|_| stream.capacity())
        }));
        assert!(panicked.is_err());
        assert_eq!(peer.borrow().written, written);
        assert_eq!(other.borrow().written, before + 2);
    }
}

#[test]
fn an_answer_to_an_update_of_keys_in_which_the_wire_panicked_stops_nothing_that_comes() {
    for left_over in [&b""[..], b"left over"] {
        let (mut stream, peer) = connected(&tls13());
        fill_all(&mut stream);
        if !left_over.is_empty() {
            peer.borrow_mut().send(left_over);
            assert_eq!(stream.fill().unwrap(), left_over.len());
        }
        peer.borrow_mut().server().refresh_traffic_keys().unwrap();
        peer.borrow_mut().send(b"data");
        peer.borrow_mut().panics = true;
        assert!(catch_unwind(AssertUnwindSafe(|| stream.fill())).is_err());
        assert_eq!(stream.unread(), left_over);
        assert_eq!(stream.fill().unwrap(), left_over.len() + 4);
        peer.borrow_mut().send(b", more");
        fill_all(&mut stream);
        assert_eq!(stream.unread(), [left_over, b"data, more"].concat());
        assert_eq!(fault(&stream.write(b"x").unwrap_err()), Fault::PartialWrite);
    }
}

#[test]
fn an_answer_to_an_update_of_keys_that_left_is_not_given_again_where_the_wire_did_not_flush() {
    let (mut stream, peer) = connected(&tls13());
    fill_all(&mut stream);
    peer.borrow_mut().server().refresh_traffic_keys().unwrap();
    peer.borrow_mut().send(b"data");
    peer.borrow_mut().refuse_flush = [ErrorKind::TimedOut.into()].into();
    assert_eq!(stream.fill().unwrap(), 4);
    assert!(peer.borrow().refuse_flush.is_empty());
    stream.write_all(b"back").unwrap();
    assert_eq!(peer.borrow().fault, None);
    assert_eq!(peer.borrow().received, b"back");
}

#[test]
fn a_wire_that_takes_nothing_breaks_the_way_back() {
    for refusal in [Ok(0), Err(ErrorKind::BrokenPipe.into())] {
        let (mut stream, peer) = connected(&tls13());
        let kind = refusal
            .as_ref()
            .map_or_else(io::Error::kind, |_| ErrorKind::WriteZero);
        peer.borrow_mut().writes = [refusal].into();
        assert_eq!(stream.write(b"x").unwrap_err().kind(), kind);
        assert_eq!(
            fault(&stream.write(b"x").unwrap_err()),
            Fault::Transport(kind, None)
        );
    }
}

#[test]
fn a_deadline_or_a_cancel_in_mid_handshake_stays_recognisable() {
    let ends = Ends::new(&tls13());
    for (error, code) in [
        (cancelled(), cancelled().raw_os_error()),
        (ErrorKind::TimedOut.into(), None),
        (io::Error::from_raw_os_error(104), Some(104)),
    ] {
        let kind = error.kind();
        let peer = Peer::new(ends.config.clone());
        peer.borrow_mut().chunks = [1].into();
        let mut memory = Memory::new(&peer, 32 << 10);
        memory.fill().unwrap_err(); // nothing has come
        peer.borrow_mut().refuse_fill = [error].into();
        let error = ends.connector.connect(memory, HOST).unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let error = io::Error::from(error);
        assert_eq!((error.raw_os_error(), error.kind()), (code, kind));
    }
}

#[test]
fn a_wire_that_holds_no_record_is_refused_at_once() {
    let ends = Ends::new(&tls13());
    let peer = Peer::new(ends.config.clone());
    let error = ends
        .connector
        .connect(Memory::new(&peer, (24 << 10) - 1), HOST)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a wire of 24575 bytes is too small for TLS, which needs 24576; raise `feed_buffer` (or `FLUX_FEED_BUFFER`)"
    );
    assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
    assert_eq!(peer.borrow().written, 0);
}

#[test]
fn more_than_the_capacity_is_not_taken_and_nothing_is_lost() {
    for offer in offers() {
        let ends = Ends::new(&offer);
        let (mut stream, peer) = ends.connect_over(32 << 10);
        let sent: Vec<u8> = (0..=250).cycle().take(80_000).collect();
        for piece in sent.chunks(1_500) {
            peer.borrow_mut().send(piece);
        }
        let error = loop {
            if let Err(error) = stream.fill() {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(stream.unread().len() >= stream.capacity());
        let mut read = Vec::new();
        while read.len() < sent.len() {
            // Byte by byte now and then, so that little is left over of much.
            let count = stream.unread().len() - 1;
            read.extend_from_slice(&stream.unread()[..count]);
            stream.consume(count);
            if read.len() + 1 == sent.len() {
                read.push(stream.unread()[0]);
                break;
            }
            stream.fill().unwrap();
        }
        assert!(read == sent);
    }
}

#[test]
fn small_records_behind_much_that_is_left_over_do_not_use_up_the_wire() {
    for offer in offers() {
        let (mut stream, peer) = Ends::new(&offer).connect_over(24 << 10);
        // What is around 2000 records of a byte each is more than the wire holds.
        peer.borrow_mut().send(&[1; 4_000]);
        for _ in 0..2_000 {
            peer.borrow_mut().send(&[2]);
        }
        let expected = [[1; 4_000].as_slice(), &[2; 2_000]].concat();
        assert!(stream.capacity() > expected.len());
        for count in 4_000..=6_000 {
            assert_eq!(stream.fill().unwrap(), count);
        }
        assert!(stream.unread() == expected);
        // Nor do those that bring nothing to who reads slowly.
        stream.consume(5_999);
        assert_eq!(stream.unread(), [2]);
    }
}

#[test]
#[should_panic(expected = "cannot consume 4 bytes: 3 are unread")]
fn more_than_is_unread_cannot_be_consumed() {
    let (mut stream, peer) = connected(&tls13());
    peer.borrow_mut().send(b"abc");
    peer.borrow_mut().send(b"def");
    stream.fill().unwrap();
    stream.consume(4);
}
