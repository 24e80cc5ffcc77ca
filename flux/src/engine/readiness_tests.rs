//! The line of ops whose registrations found no room, with a poller that has little.

#![allow(
    clippy::disallowed_methods,
    reason = "what is written and read here is there, or has room"
)]

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::super::epoll::Epoll;
use super::super::poller::Edge;
use super::super::refusals::{Entry, Refusals};
use super::*;
use crate::sys::socket::send_now;

/// Has room for so many registrations until the next wait, as a kqueue does.
struct Scarce {
    epoll: Epoll,
    room: usize,
    registrations: Vec<RawFd>,
}

impl Poller for Scarce {
    const SHORT_MEANS_EMPTY: bool = false;

    fn add(&mut self, fd: RawFd) -> io::Result<Added> {
        if self.registrations.len() == self.room {
            return Ok(Added::Full);
        }
        self.registrations.push(fd);
        Ok(Added::Registered)
    }

    fn remove(&mut self, fd: RawFd) {
        self.registrations.retain(|other| *other != fd);
        self.epoll.remove(fd);
    }

    unsafe fn add_timer(&mut self, op: &Op) -> io::Result<Added> {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.epoll.add_timer(op) }
    }

    fn remove_timer(&mut self, op: &Op) {
        self.epoll.remove_timer(op);
    }

    fn wait(&mut self, wait: Wait, mut report: impl FnMut(Told<'_>)) -> io::Result<bool> {
        let mut refused_any = false;
        for fd in self.registrations.drain(..) {
            if let Err(error) = self.epoll.add(fd) {
                let edge = Edge {
                    readable: true,
                    writable: true,
                    ended: false,
                    refused: error.raw_os_error().unwrap(),
                };
                report(Told::Edge(fd, edge));
                refused_any = true;
            }
        }
        let wait = if refused_any { Wait::Poll } else { wait };
        Ok(self.epoll.wait(wait, report)? || refused_any)
    }
}

fn engine(room: usize) -> Readiness<Scarce> {
    Readiness::new(Scarce {
        epoll: Epoll::new(16).unwrap(),
        room,
        registrations: Vec::new(),
    })
}

/// Socket pairs; ops are at the first ends, the test at the others.
fn pairs<const N: usize>() -> [(UnixStream, UnixStream); N] {
    [(); N].map(|()| UnixStream::pair().unwrap())
}

/// Ops that receive a byte each, and where it goes.
struct Readers {
    ops: Box<[Op]>,
    bytes: Box<[Cell<u8>]>,
}

impl Readers {
    /// An op at each of these sockets, in this order.
    fn submit(engine: &mut Readiness<Scarce>, at: &[&UnixStream]) -> Self {
        let bytes: Box<[_]> = at.iter().map(|_| Cell::new(0)).collect();
        let request = |(socket, byte): (&&UnixStream, &Cell<u8>)| Request::Receive {
            fd: socket.as_raw_fd(),
            buffer: byte.as_ptr(),
            len: 1,
            peek: false,
        };
        let requests = at.iter().zip(&bytes[..]).map(request);
        let ops = (0..)
            .zip(requests)
            .map(|(index, request)| Op::new(request, index))
            .collect();
        let readers = Self { ops, bytes };
        for op in &readers.ops {
            // SAFETY: the op and its byte are in slices on the heap, which the tests keep until it is done.
            unsafe { engine.submit(op) };
        }
        readers
    }

    fn cancel(&self, engine: &mut Readiness<Scarce>, which: usize) -> CancelOutcome {
        // SAFETY: submitted to this engine when it was made.
        unsafe { engine.cancel(&self.ops[which]) }
    }
}

/// Turns until nothing is in flight; the numbers of the ops, in the order in which they were done.
fn finish(engine: &mut Readiness<Scarce>) -> Vec<u32> {
    finish_all_but(0, engine)
}

/// Turns until no more than so many are in flight.
fn finish_all_but(left: usize, engine: &mut Readiness<Scarce>) -> Vec<u32> {
    let mut order = Vec::new();
    for _ in 0..100 {
        if engine.in_flight() <= left {
            return order;
        }
        engine
            .turn(Wait::AtMost(Duration::from_millis(1)), |op| {
                order.push(op.fiber());
            })
            .unwrap();
    }
    // The ops may not be dropped, and the failure is to be told.
    eprintln!("an op was lost; done: {order:?}");
    std::process::abort();
}

#[test]
fn ops_in_line_are_done_in_their_order_at_each_descriptor_though_one_of_them_has_bytes() {
    let mut engine = engine(1);
    let [(a, mut to_a), (b, mut to_b), (c, mut to_c)] = pairs();
    to_c.write_all(b"c").unwrap();
    let readers = Readers::submit(&mut engine, &[&a, &b, &c, &a, &b]);
    // Behind the line stands also what could be done at once, and what needs no room.
    assert_eq!(engine.overflow.len(), 4);
    let states: Vec<_> = readers.ops.iter().map(Op::state).collect();
    assert_eq!(states[0], State::InKernel);
    assert_eq!(states[1..], [State::Queued; 4]);
    to_a.write_all(b"12").unwrap();
    to_b.write_all(b"34").unwrap();
    let order = finish(&mut engine);
    let place = |index| order.iter().position(|done| *done == index);
    assert!(place(0) < place(3) && place(1) < place(4));
    let bytes: Vec<u8> = readers.bytes.iter().map(Cell::get).collect();
    assert_eq!(bytes, *b"13c24");
    let counters = engine.counters();
    assert_eq!((counters.overflow_depth, counters.completions), (0, 5));
    assert_eq!((counters.overflow_high_water, counters.overflows), (4, 4));
}

#[test]
fn an_op_that_is_cancelled_in_line_leaves_it_and_the_others_go_on() {
    let mut engine = engine(1);
    let all = pairs::<4>();
    let [a, b, c, d] = all.each_ref().map(|(end, _)| end);
    let readers = Readers::submit(&mut engine, &[a, b, c, d]);
    assert_eq!(readers.cancel(&mut engine, 2), CancelOutcome::Done);
    assert_eq!(readers.ops[2].result(), -libc::ECANCELED);
    assert_eq!((engine.overflow.len(), engine.in_flight()), (2, 3));
    for (_, mut peer) in all.iter().map(|(end, peer)| (end, peer)) {
        peer.write_all(b"x").unwrap();
    }
    let mut order = finish(&mut engine);
    order.sort_unstable();
    assert_eq!(order, [0, 1, 3]);
    let mut still_there = [0; 2];
    assert_eq!({ c }.read(&mut still_there).unwrap(), 1);
}

#[test]
fn a_wait_that_is_refused_drops_none_of_those_in_line() {
    for code in [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM] {
        let mut engine = engine(1);
        let all = pairs::<6>();
        let readers = Readers::submit(&mut engine, &all.each_ref().map(|(end, _)| end));
        let _refusals = Refusals::listed(Entry::Wait, [code, code, 0, code, 0, 0, code]);
        for (_, mut peer) in all.iter().map(|(end, peer)| (end, peer)) {
            peer.write_all(b"x").unwrap();
        }
        let mut order = finish(&mut engine);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4, 5], "{code}");
        assert!(readers.bytes.iter().all(|byte| byte.get() == b'x'));
        assert_eq!(engine.counters().refusals > 0, code != libc::EINTR);
    }
}

#[test]
fn a_registration_that_is_refused_after_its_op_stood_in_line_ends_that_op_alone() {
    let mut engine = engine(1);
    let all = pairs::<3>();
    let readers = Readers::submit(&mut engine, &all.each_ref().map(|(end, _)| end));
    let _refusals = Refusals::listed(Entry::Register, [0, libc::ENOMEM]);
    engine.turn(Wait::Poll, |_| ()).unwrap();
    for (_, mut peer) in all.iter().map(|(end, peer)| (end, peer)) {
        peer.write_all(b"x").unwrap();
    }
    finish(&mut engine);
    let results: Vec<i32> = readers.ops.iter().map(Op::result).collect();
    assert_eq!(results, [1, -libc::ENOMEM, 1]);
}

#[test]
fn a_send_in_line_is_not_left_waiting_for_an_edge_that_came_while_it_stood_there() {
    let mut engine = engine(1);
    let [(a, mut from_a), (b, mut to_b), (c, mut to_c)] = pairs();
    // The socket is known, and its first edge is taken.
    let known = Readers::submit(&mut engine, &[&a]);
    engine
        .turn(Wait::Poll, |_| panic!("nothing is done"))
        .unwrap();
    let mut sent = 0;
    while let Ok(count) = send_now(a.as_fd(), &[0; 4096]) {
        sent += count;
    }
    let readers = Readers::submit(&mut engine, &[&b, &c]);
    let request = Request::Send {
        fd: a.as_raw_fd(),
        bytes: [1].as_ptr(),
        len: 1,
    };
    let send = Box::new(Op::new(request, 7));
    // SAFETY: the op is in a box, and its byte is a constant of the program; both outlive the turns.
    unsafe { engine.submit(&send) };
    assert_eq!(engine.overflow.len(), 2);
    let mut read = vec![0; sent];
    from_a.read_exact(&mut read).unwrap();
    for peer in [&mut to_b, &mut from_a] {
        peer.write_all(b"x").unwrap();
    }
    // What stands before it has to wait for room, while the edge comes.
    let mut order = finish_all_but(1, &mut engine);
    assert!(send.state() == State::Done && readers.ops[1].state() != State::Done);
    to_c.write_all(b"x").unwrap();
    order.extend(finish(&mut engine));
    order.sort_unstable();
    assert_eq!((order, send.result()), (vec![0, 0, 1, 7], 1));
    assert!(known.ops[0].result() == 1 && readers.ops[1].result() == 1);
}

fn connect(socket: &Socket, address: &SockAddr) -> Op {
    let request = Request::Connect {
        fd: socket.as_raw_fd(),
        address: address.as_ptr().cast(),
        len: address.len(),
    };
    Op::new(request, 1)
}

fn stream_socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
}

#[test]
fn a_connection_that_found_no_room_is_made_when_there_is() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SockAddr = listener.local_addr().unwrap().into();
    let socket = stream_socket();
    let mut engine = engine(1);
    let [(a, mut to_a)] = pairs();
    let _reader = Readers::submit(&mut engine, &[&a]);
    let connect = Box::new(connect(&socket, &address));
    // SAFETY: the op is in a box, and the address in this frame; both outlive the turns.
    unsafe { engine.submit(&connect) };
    assert_eq!(connect.state(), State::Queued);
    to_a.write_all(b"x").unwrap();
    let mut order = finish(&mut engine);
    order.sort_unstable();
    assert_eq!((order, connect.result()), (vec![0, 1], 0));
    let peer = listener.accept().unwrap().1;
    assert_eq!(socket.local_addr().unwrap().as_socket(), Some(peer));
}

#[test]
fn a_connection_that_found_no_room_is_attempted_once() {
    // Nobody answers: the line of a listener that takes nobody is full.
    let listener = stream_socket();
    let any_port: SockAddr = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
    listener.bind(&any_port).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let before = [(); 4].map(|()| stream_socket());
    for socket in &before {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.connect(&address).is_err(), "it takes a while");
    }
    let socket = stream_socket();
    let mut engine = engine(1);
    let [(a, mut to_a)] = pairs();
    let _reader = Readers::submit(&mut engine, &[&a]);
    let connect = Box::new(connect(&socket, &address));
    // SAFETY: the op is in a box, and the address in this frame; both outlive the turns.
    unsafe { engine.submit(&connect) };
    to_a.write_all(b"x").unwrap();
    assert_eq!(finish_all_but(1, &mut engine), [0]);
    for _ in 0..3 {
        // A second attempt would be answered with EALREADY.
        engine
            .turn(Wait::Poll, |op| panic!("{} before its time", op.result()))
            .unwrap();
    }
    // SAFETY: submitted to this engine.
    assert_eq!(unsafe { engine.cancel(&connect) }, CancelOutcome::Done);
}
