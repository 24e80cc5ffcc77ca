//! What a datagram is: it comes as a whole or cut, once, with its sender, also when it is empty.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use flux::spawn;

use crate::common::{fibers, settle};
use crate::{LOCALHOST, connected, socket};

#[test]
fn datagrams_go_to_an_address_and_come_with_their_senders() {
    fibers(|| {
        let (a, b, c) = (socket(), socket(), socket());
        let to = c.local_addr().unwrap();
        let mut buffer = [0; 16];
        let receiving = spawn({
            let c = c.try_clone().unwrap();
            move || {
                let mut buffer = [0; 16];
                let (len, from) = c.recv_from(&mut buffer).unwrap();
                (buffer[..len].to_vec(), from)
            }
        });
        settle();
        assert_eq!(a.send_to(b"first", to).unwrap(), 5);
        let (bytes, from) = receiving.join().unwrap();
        assert_eq!(
            (bytes.as_slice(), from),
            (&b"first"[..], a.local_addr().unwrap())
        );
        b.send_to(b"second", to).unwrap();
        let received = c.recv_from(&mut buffer).unwrap();
        assert_eq!(received, (6, b.local_addr().unwrap()));
        assert_eq!(&buffer[..6], b"second");
    });
}

#[test]
fn of_two_datagrams_that_wait_the_second_is_received_though_the_first_was_short() {
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        for round in 0..3 {
            let receiving = spawn({
                let b = b.try_clone().unwrap();
                move || {
                    let mut buffer = [0; 64];
                    let first = b.recv(&mut buffer).unwrap();
                    let second = b.recv(&mut buffer).unwrap();
                    let third = b.recv_from(&mut buffer).unwrap().0;
                    let fourth = b.recv_from(&mut buffer).unwrap().0;
                    [first, second, third, fourth]
                }
            });
            // It waits, so that an engine knows the descriptor, and hears of one edge for all four.
            settle();
            a.send(b"a").unwrap();
            a.send(b"bb").unwrap();
            a.send(b"ccc").unwrap();
            a.send_to(b"dddd", to).unwrap();
            assert_eq!(receiving.join().unwrap(), [1, 2, 3, 4], "round {round}");
        }
    });
}

#[test]
fn a_datagram_that_is_longer_than_the_buffer_is_cut_and_its_rest_lost() {
    fibers(|| {
        let (a, b) = connected();
        for _ in 0..2 {
            a.send(b"0123456789").unwrap();
        }
        a.send(b"next").unwrap();
        let mut buffer = [0; 4];
        assert_eq!(b.recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"0123");
        assert_eq!(b.recv_from(&mut buffer).unwrap().0, 4);
        assert_eq!(&buffer, b"0123");
        assert_eq!(b.recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"next");
    });
}

#[test]
fn an_empty_datagram_is_one_and_an_empty_buffer_takes_one() {
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        let mut buffer = [7; 8];
        assert_eq!(a.send(&[]).unwrap(), 0);
        assert_eq!(a.send_to(&[], to).unwrap(), 0);
        a.send(b"x").unwrap();
        assert_eq!(b.recv(&mut buffer).unwrap(), 0);
        let from = b.recv_from(&mut buffer).unwrap();
        assert_eq!(from, (0, a.local_addr().unwrap()));
        assert_eq!(b.recv(&mut buffer).unwrap(), 1);
        // An empty buffer waits for a datagram, and takes it.
        let receiving = spawn({
            let b = b.try_clone().unwrap();
            move || (b.recv(&mut []).unwrap(), b.recv_from(&mut []).unwrap().0)
        });
        settle();
        assert!(!receiving.is_finished());
        for datagram in [b"one", b"two", b"end"] {
            a.send(datagram).unwrap();
        }
        assert_eq!(receiving.join().unwrap(), (0, 0));
        assert_eq!(b.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"end");
    });
}

#[test]
fn peeking_leaves_the_datagram_as_a_whole() {
    fibers(|| {
        let (a, b) = connected();
        let peeking = spawn({
            let b = b.try_clone().unwrap();
            move || {
                let mut buffer = [0; 8];
                b.peek(&mut buffer).unwrap()
            }
        });
        settle();
        a.send(b"price").unwrap();
        a.send(b"size").unwrap();
        assert_eq!(peeking.join().unwrap(), 5, "it waited");
        let mut buffer = [0; 2];
        for _ in 0..3 {
            assert_eq!(b.peek(&mut buffer).unwrap(), 2);
            let from = b.peek_from(&mut buffer).unwrap();
            assert_eq!(from, (2, a.local_addr().unwrap()));
            assert_eq!(&buffer, b"pr");
        }
        let mut whole = [0; 8];
        assert_eq!(b.recv(&mut whole).unwrap(), 5);
        assert_eq!(b.peek_from(&mut whole).unwrap().0, 4);
        assert_eq!(b.recv_from(&mut whole).unwrap().0, 4);
    });
}

#[test]
fn a_datagram_of_the_largest_size_passes_and_a_larger_one_is_refused() {
    const LARGEST: usize = 65_507;
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        let sent: Vec<u8> = (0..=LARGEST).map(|at| at.to_le_bytes()[0]).collect();
        let mut buffer = vec![0; LARGEST + 1];
        assert_eq!(a.send(&sent[..LARGEST]).unwrap(), LARGEST);
        assert_eq!(b.recv(&mut buffer).unwrap(), LARGEST);
        assert!(
            buffer[..LARGEST] == sent[..LARGEST],
            "the bytes came changed"
        );
        for result in [a.send(&sent), a.send_to(&sent, to)] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(EMSGSIZE));
        }
        a.send_to(b"x", to).unwrap();
        assert_eq!(b.recv(&mut buffer).unwrap(), 1, "nothing was sent of it");
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    fibers(|| {
        let (a, b) = connected();
        let stranger = socket();
        let to = b.local_addr().unwrap();
        stranger.send_to(b"noise", to).unwrap();
        a.send(b"music").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(
            b.recv_from(&mut buffer).unwrap(),
            (5, a.local_addr().unwrap())
        );
        assert_eq!(&buffer[..5], b"music");
        let unconnected = stranger.send(b"x").unwrap_err();
        assert_eq!(unconnected.raw_os_error(), Some(EDESTADDRREQ));
        let peer = stranger.peer_addr().unwrap_err();
        assert_eq!(peer.kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_port_that_nobody_receives_at_refuses_and_the_socket_goes_on() {
    fibers(|| {
        let refused = |result: std::io::Result<usize>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        };
        let (a, b) = connected();
        let free = b.local_addr().unwrap();
        drop(b);
        let mut buffer = [0; 8];
        // Before a receive, in the middle of one, and before a send.
        a.send(b"x").unwrap();
        refused(a.recv(&mut buffer));
        let receiving = spawn({
            let a = a.try_clone().unwrap();
            move || a.recv_from(&mut [0; 8]).map(|(count, _)| count)
        });
        settle();
        a.send(b"x").unwrap();
        refused(receiving.join().unwrap());
        a.send(b"x").unwrap();
        refused(a.send(b"x"));
        // What is said once is over: whoever binds there now is heard.
        let b = flux::net::UdpSocket::bind(free).unwrap();
        b.connect(a.local_addr().unwrap()).unwrap();
        for text in [&b"again"[..], b"and again"] {
            let receiving = spawn({
                let a = a.try_clone().unwrap();
                move || a.recv(&mut [0; 16])
            });
            settle();
            b.send(text).unwrap();
            assert_eq!(receiving.join().unwrap().unwrap(), text.len());
        }
    });
}

#[test]
fn addresses_are_stds_but_for_names() {
    fibers(|| {
        let (a, b) = (socket(), socket());
        let to = b.local_addr().unwrap();
        let text = to.to_string();
        a.send_to(b"1", text.as_str()).unwrap();
        a.send_to(b"2", (Ipv4Addr::LOCALHOST, to.port())).unwrap();
        // Of several the first is taken, as in std.
        a.send_to(b"3", &[to, a.local_addr().unwrap()][..]).unwrap();
        let mut buffer = [0; 8];
        for _ in 0..3 {
            b.recv(&mut buffer).unwrap();
        }
        let none: &[SocketAddr] = &[];
        for error in [
            a.send_to(b"x", "localhost:80").unwrap_err(),
            a.send_to(b"x", none).unwrap_err(),
            a.connect("localhost:80").unwrap_err(),
            a.connect(none).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        let error = flux::net::UdpSocket::bind(to).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let other = flux::net::UdpSocket::bind(&[to, LOCALHOST.into()][..]).unwrap();
        assert_ne!(other.local_addr().unwrap(), to);
    });
}

#[cfg(target_os = "linux")]
const EMSGSIZE: i32 = 90;
#[cfg(target_os = "linux")]
const EDESTADDRREQ: i32 = 89;
#[cfg(not(target_os = "linux"))]
const EMSGSIZE: i32 = 40;
#[cfg(not(target_os = "linux"))]
const EDESTADDRREQ: i32 = 39;
