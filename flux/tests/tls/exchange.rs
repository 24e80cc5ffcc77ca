//! What goes well, however it is cut.

use std::io::{IoSlice, Read, Write};

use flux::net::Wire;
use flux::tls::Version;

use crate::certificates::{HOST, offers};
use crate::memory::{Memory, Peer};
use crate::{CAPACITY, Ends, Random, connected, fill_all, tls12, tls13};

#[test]
fn each_cipher_of_each_version_carries_data_both_ways() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        let name = offer.suite.unwrap().suite().as_str().unwrap();
        assert_eq!(stream.cipher_suite(), name);
        let thirteen = name.starts_with("TLS13");
        let version = if thirteen {
            Version::Tls13
        } else {
            Version::Tls12
        };
        assert_eq!(stream.version(), version);
        for len in [1, 15, 16, 17, 280, 16_383, 16_384] {
            let bytes = Random(7).bytes(len);
            peer.borrow_mut().send(&bytes);
            assert_eq!(fill_all(&mut stream), len, "{name}");
            assert_eq!(stream.unread(), bytes, "{name}");
            assert_eq!(stream.unread_mut(), bytes, "{name}");
            stream.consume(len);
            stream.write_all(&bytes).unwrap();
            assert_eq!(std::mem::take(&mut peer.borrow_mut().received), bytes);
        }
        peer.borrow_mut().close();
        assert_eq!(stream.fill().unwrap(), 0);
        assert_eq!(stream.fill().unwrap(), 0);
        stream.close().unwrap();
        assert_eq!(peer.borrow().fault, None);
    }
}

#[test]
fn data_is_the_same_whatever_pieces_it_comes_in_and_is_read_in() {
    for (round, offer) in offers().iter().cycle().take(60).enumerate() {
        let ends = Ends::new(offer);
        // From the smallest wire that is taken to one that holds all.
        let capacity = [24 << 10, 40 << 10, 256 << 10][round % 3];
        let (mut stream, peer) = ends.connect_over(capacity);
        let mut random = Random(round as u64 + 1);
        let (mut sent, mut read) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            let len = [3, 50, 2000, 20_000][random.below(4)];
            let len = 1 + random.below(len);
            let bytes = random.bytes(len);
            peer.borrow_mut().send(&bytes);
            sent.extend_from_slice(&bytes);
            let largest = [10, 300, 40_000][random.below(3)];
            let chunks = (0..random.below(40)).map(|_| 1 + random.below(largest));
            peer.borrow_mut().chunks = chunks.collect();
            for _ in 0..random.below(8) {
                let before = stream.unread().to_vec();
                if stream.unread().len() < stream.capacity() {
                    match stream.fill() {
                        Ok(count) => assert!(count > before.len()),
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
                    }
                } else {
                    let error = stream.fill().unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                }
                assert!(
                    stream.unread().starts_with(&before),
                    "a byte moved or changed"
                );
                let count = match random.below(3) {
                    0 => stream.unread().len(),
                    1 => stream.unread().len().min(random.below(5)),
                    _ => random.below(stream.unread().len() + 1),
                };
                read.extend_from_slice(&stream.unread()[..count]);
                stream.consume(count);
            }
        }
        peer.borrow_mut().close();
        peer.borrow_mut().chunks.clear();
        std::io::copy(&mut stream, &mut read).unwrap();
        assert_eq!(read.len(), sent.len());
        assert!(read == sent, "{:?}", offer.suite);
    }
}

#[test]
fn a_handshake_and_its_first_data_may_be_cut_anywhere() {
    for offer in [tls13(), tls12()] {
        let ends = Ends::new(&offer);
        // One full exchange, to know how long it is.
        let total = {
            let peer = Peer::new(ends.config.clone());
            peer.borrow_mut().chunks = std::iter::repeat_n(1, 10_000).collect();
            let stream = ends.connector.connect(Memory::new(&peer, CAPACITY), HOST);
            drop(stream.unwrap());
            10_000 - peer.borrow().chunks.len()
        };
        assert!(total > 500, "{total}");
        for first in 1..total {
            let peer = Peer::new(ends.config.clone());
            peer.borrow_mut().chunks = [first, 1, 7].into();
            let memory = Memory::new(&peer, CAPACITY);
            let mut stream = ends.connector.connect(memory, HOST).unwrap();
            peer.borrow_mut().send(b"first");
            assert_eq!(fill_all(&mut stream), 5);
            assert_eq!(stream.unread(), b"first");
            assert_eq!(peer.borrow().fault, None);
        }
    }
}

#[test]
fn data_in_the_same_flight_as_the_end_of_the_handshake_is_not_lost() {
    for offer in offers() {
        let ends = Ends::new(&offer);
        // In one piece, and in pieces: also by a server that speaks before the client has ended its handshake.
        let mut config = (*ends.config).clone();
        config.send_half_rtt_data = true;
        for chunk in [usize::MAX, 1, 600] {
            let peer = Peer::new(config.clone().into());
            peer.borrow_mut().greeting = b"welcome".to_vec();
            peer.borrow_mut().chunks = [chunk].repeat(5_000).into();
            let memory = Memory::new(&peer, CAPACITY);
            // A ticket would shorten the handshake, and turn who ends it round.
            let connector = ends.fresh();
            let mut stream = connector.connect(memory, HOST).unwrap();
            peer.borrow_mut().send(b", and more");
            assert_eq!(fill_all(&mut stream), 17, "{:?}", offer.suite);
            assert_eq!(stream.unread(), b"welcome, and more");
            // And with the ticket: the client is the last to speak in TLS 1.2.
            let peer = Peer::new(config.clone().into());
            peer.borrow_mut().greeting = b"welcome".to_vec();
            let memory = Memory::new(&peer, CAPACITY);
            let mut stream = connector.connect(memory, HOST).unwrap();
            assert!(stream.is_resumed());
            assert_eq!(fill_all(&mut stream), 7);
            assert_eq!(stream.unread(), b"welcome");
        }
    }
}

#[test]
fn an_exchange_may_be_cut_at_every_byte() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        fill_all(&mut stream);
        for first in 1..120 {
            peer.borrow_mut().send(b"one");
            peer.borrow_mut().send(&[first; 60]);
            peer.borrow_mut().chunks = [first.into(), 1, 2].into();
            assert_eq!(fill_all(&mut stream), 63);
            assert_eq!(stream.unread(), [&b"one"[..], &[first; 60]].concat());
            stream.consume(63);
        }
    }
}

#[test]
fn what_a_write_takes_is_one_record_and_one_write_below() {
    for offer in offers() {
        let (mut stream, peer) = connected(&offer);
        let before = peer.borrow().written;
        assert_eq!(stream.write(b"ping").unwrap(), 4);
        let parts = [
            IoSlice::new(b"head"),
            IoSlice::new(b""),
            IoSlice::new(b"body"),
        ];
        assert_eq!(stream.write_vectored(&parts).unwrap(), 8);
        let long = vec![3; 20_000];
        assert_eq!(stream.write(&long).unwrap(), 16_384);
        assert_eq!(peer.borrow().written - before, 3);
        assert_eq!(stream.write(b"").unwrap(), 0);
        assert_eq!(stream.write_vectored(&[IoSlice::new(b"")]).unwrap(), 0);
        assert_eq!(peer.borrow().written - before, 3);
        stream.flush().unwrap();
        let expected = [b"pingheadbody", &long[..16_384]].concat();
        assert!(peer.borrow().received == expected);
    }
}

#[test]
fn the_server_changes_its_keys_in_mid_stream() {
    let (mut stream, peer) = connected(&tls13());
    for round in 0..5_u8 {
        peer.borrow_mut().send(&[round; 100]);
        peer.borrow_mut().server().refresh_traffic_keys().unwrap();
        peer.borrow_mut().send(&[round; 100]);
        assert_eq!(fill_all(&mut stream), 200);
        assert_eq!(stream.unread(), [round; 200]);
        stream.consume(200);
        stream.write_all(&[round]).unwrap();
    }
    assert_eq!(peer.borrow().received, [0, 1, 2, 3, 4]);
    assert_eq!(peer.borrow().fault, None);
}

#[test]
fn our_keys_change_when_they_have_protected_as_many_records_as_they_may() {
    let ends = Ends::new(&tls13());
    let connector = ends.connector.clone().records_per_key(3);
    let peer = Peer::new(ends.config.clone());
    let mut stream = connector
        .connect(Memory::new(&peer, CAPACITY), HOST)
        .unwrap();
    let before = peer.borrow().written;
    for round in 0..20_u8 {
        stream.write_all(&[round]).unwrap();
    }
    assert_eq!(peer.borrow().received, (0..20).collect::<Vec<u8>>());
    assert_eq!(peer.borrow().fault, None);
    // Three records under each key, and one before each change.
    assert_eq!(peer.borrow().written - before, 20 + 19 / 3);
}

#[test]
fn worn_out_keys_end_a_connection_that_cannot_change_them() {
    let ends = Ends::new(&tls12());
    let connector = ends.connector.clone().records_per_key(3);
    let peer = Peer::new(ends.config.clone());
    let mut stream = connector
        .connect(Memory::new(&peer, CAPACITY), HOST)
        .unwrap();
    // The handshake's last record was the first.
    stream.write_all(b"two").unwrap();
    stream.write_all(b"three").unwrap();
    let worn = flux::tls::Fault::KeysWornOut { records_max: 3 };
    assert_eq!(crate::fault(&stream.write(b"four").unwrap_err()), worn);
    assert_eq!(crate::fault(&stream.write(b"four").unwrap_err()), worn);
    assert_eq!(crate::fault(&stream.fill().unwrap_err()), worn);
    assert_eq!(peer.borrow().received, b"twothree");
    assert_eq!(peer.borrow().fault, None);
    // It was told by `close_notify`: the server reads a clean end.
    let mut rest = Vec::new();
    assert_eq!(
        peer.borrow_mut()
            .server()
            .reader()
            .read_to_end(&mut rest)
            .unwrap(),
        0
    );
}

#[test]
fn a_ticket_spares_the_next_connection_the_certificate() {
    for offer in [tls13(), tls12()] {
        let ends = Ends::new(&offer);
        let (mut first, _peer) = ends.connect();
        assert!(!first.is_resumed());
        assert_eq!(fill_all(&mut first), 0); // the tickets of TLS 1.3
        for _ in 0..2 {
            let (mut next, peer) = ends.connect();
            assert!(next.is_resumed(), "{:?}", next.version());
            peer.borrow_mut().send(b"again");
            assert_eq!(fill_all(&mut next), 5);
            next.write_all(b"and back").unwrap();
            assert_eq!(peer.borrow().received, b"and back");
        }
    }
}

#[test]
fn a_ticket_in_mid_stream_moves_nothing_that_is_unread() {
    let (mut stream, peer) = connected(&tls13());
    // The tickets wait in front of the first data, and those that are left over stay.
    peer.borrow_mut().send(b"left ");
    assert_eq!(stream.fill().unwrap(), 5);
    peer.borrow_mut().server().refresh_traffic_keys().unwrap();
    peer.borrow_mut().send(b"over");
    assert_eq!(stream.fill().unwrap(), 9);
    assert_eq!(stream.unread(), b"left over");
}

#[test]
fn a_protocol_is_agreed_on_if_it_was_asked_for() {
    for offer in [tls13(), tls12()] {
        let ends = Ends::new(&offer);
        assert_eq!(ends.connect().0.alpn(), None);
        let asking = ends.connector.clone().alpn(&["http/1.1"]);
        let peer = Peer::new(ends.config.clone());
        let stream = asking.connect(Memory::new(&peer, CAPACITY), HOST).unwrap();
        assert_eq!(stream.alpn(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn reading_copies_what_is_unread_and_ends_at_close_notify() {
    let (mut stream, peer) = connected(&tls13());
    peer.borrow_mut().send(b"copied out");
    peer.borrow_mut().close();
    let mut piece = [0; 6];
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.read(&mut piece).unwrap(), 6);
    assert_eq!(&piece, b"copied");
    assert_eq!(stream.read(&mut piece).unwrap(), 4);
    assert_eq!(stream.read(&mut piece).unwrap(), 0);
    // The other direction stays open.
    stream.write_all(b"still here").unwrap();
    assert_eq!(peer.borrow().received, b"still here");
}

#[test]
fn a_closed_stream_has_told_the_server_and_still_reads() {
    for offer in [tls13(), tls12()] {
        let (mut stream, peer) = connected(&offer);
        stream.close().unwrap();
        let written = peer.borrow().written;
        stream.close().unwrap();
        let error = stream.write(b"late").unwrap_err();
        assert_eq!(crate::fault(&error), flux::tls::Fault::Closed);
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        let mut rest = Vec::new();
        assert_eq!(
            peer.borrow_mut()
                .server()
                .reader()
                .read_to_end(&mut rest)
                .unwrap(),
            0
        );
        peer.borrow_mut().send(b"the last word");
        assert_eq!(fill_all(&mut stream), 13);
        drop(stream);
        assert_eq!(peer.borrow().written, written);
    }
}

#[test]
fn a_dropped_stream_tells_the_server() {
    let (stream, peer) = connected(&tls13());
    drop(stream);
    let mut rest = Vec::new();
    assert_eq!(
        peer.borrow_mut()
            .server()
            .reader()
            .read_to_end(&mut rest)
            .unwrap(),
        0
    );
}
