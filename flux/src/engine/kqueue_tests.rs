//! The poller against the double, with what a kernel does on a bad day.

use super::super::kqueue_double::{Nasty, script};
use super::super::readiness::Readiness;
use super::*;
use crate::op::{Moment, Request, State};
use std::io::{Read as _, Write as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream;

const READ: Edge = Edge {
    readable: true,
    writable: false,
    ended: false,
    refused: 0,
};
const WRITE: Edge = Edge {
    readable: false,
    writable: true,
    ended: false,
    refused: 0,
};

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a test has descriptors")
}

/// One wait, and all that it reported.
fn wait(kqueue: &mut Kqueue, wait: Wait) -> (Vec<(RawFd, Edge)>, io::Result<bool>) {
    let mut edges = Vec::new();
    let more = kqueue.wait(wait, |told| match told {
        Told::Edge(fd, edge) => edges.push((fd, edge)),
        Told::Timer(..) => panic!("no timer was set"),
    });
    (edges, more)
}

/// Every edge that there is now, each descriptor's own together.
fn edges(kqueue: &mut Kqueue) -> Vec<(RawFd, Edge)> {
    let mut all = Vec::new();
    loop {
        let (edges, more) = wait(kqueue, Wait::Poll);
        let found = edges.len();
        all.extend(edges);
        if !more.expect("no failure is scripted") && found == 0 {
            all.sort_by_key(|(fd, edge)| (*fd, edge.writable));
            return all;
        }
    }
}

#[test]
fn an_edge_is_told_once_in_its_own_direction() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (mut a, b) = pair();
    let fd = b.as_raw_fd();
    kqueue.add(fd).unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, WRITE)]);
    assert_eq!(edges(&mut kqueue), []);
    a.write_all(b"x").unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, READ)]);
    assert_eq!(edges(&mut kqueue), []);
    a.write_all(b"y").unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, READ)]);
}

#[test]
fn what_is_there_already_is_told_when_it_is_added_and_when_it_is_added_again() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (mut a, b) = pair();
    let fd = b.as_raw_fd();
    a.write_all(b"x").unwrap();
    for _ in 0..2 {
        kqueue.add(fd).unwrap();
        assert_eq!(edges(&mut kqueue), [(fd, READ), (fd, WRITE)]);
    }
}

#[test]
fn the_end_comes_with_the_last_bytes_in_one_edge() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (mut a, mut b) = pair();
    let fd = b.as_raw_fd();
    kqueue.add(fd).unwrap();
    edges(&mut kqueue);
    a.write_all(b"last").unwrap();
    drop(a);
    let ended = |edge| Edge {
        ended: true,
        ..edge
    };
    assert_eq!(
        edges(&mut kqueue),
        [(fd, ended(READ)), (fd, ended(WRITE))],
        "the peer is gone in both directions"
    );
    let mut text = String::new();
    b.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last");
}

#[test]
fn a_half_close_ends_the_reading_alone() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (a, b) = pair();
    let fd = b.as_raw_fd();
    kqueue.add(fd).unwrap();
    edges(&mut kqueue);
    a.shutdown(std::net::Shutdown::Write).unwrap();
    let (read, others): (Vec<_>, Vec<_>) = edges(&mut kqueue)
        .into_iter()
        .partition(|(_, edge)| edge.readable);
    assert!(read.iter().any(|(_, edge)| edge.ended));
    assert!(others.iter().all(|(_, edge)| !edge.ended));
}

#[test]
fn a_refusal_among_many_changes_reaches_its_own_descriptor_and_direction() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let pairs: Vec<_> = (0..10).map(|_| pair()).collect();
    let fds: Vec<_> = pairs.iter().map(|(_, b)| b.as_raw_fd()).collect();
    for fd in &fds {
        kqueue.add(*fd).unwrap();
    }
    script(&[Nasty::Refuse {
        fd: fds[4],
        filter: EVFILT_WRITE,
        code: libc::ENOMEM,
    }]);
    // A call that has refusals to report looks for no events, and must not wait either.
    let (first, more) = wait(&mut kqueue, Wait::Forever);
    let refused = Edge {
        refused: libc::ENOMEM,
        ..WRITE
    };
    assert_eq!(first, [(fds[4], refused)]);
    assert!(more.unwrap(), "the events are in the next batch");
    let mut others: Vec<_> = fds.iter().map(|fd| (*fd, WRITE)).collect();
    others.remove(4);
    others.sort_by_key(|(fd, _)| *fd);
    assert_eq!(edges(&mut kqueue), others);
    // Asked anew, the kernel is in a better mood.
    kqueue.add(fds[4]).unwrap();
    assert_eq!(edges(&mut kqueue), [(fds[4], WRITE)]);
}

#[test]
fn a_descriptor_that_is_closed_already_is_refused_in_both_directions() {
    let mut kqueue = Kqueue::new(64).unwrap();
    // Far above what the test's other threads open.
    let closed = 60_000;
    kqueue.add(closed).unwrap();
    let refused = |edge| Edge {
        refused: libc::EBADF,
        ..edge
    };
    assert_eq!(
        edges(&mut kqueue),
        [(closed, refused(READ)), (closed, refused(WRITE))]
    );
}

#[test]
fn a_full_list_has_room_again_once_it_has_left() {
    let mut kqueue = Kqueue::new(2).unwrap();
    let pairs = [pair(), pair(), pair()];
    let fds = [0, 1, 2].map(|index: usize| pairs[index].1.as_raw_fd());
    assert_eq!(kqueue.add(fds[0]).unwrap(), Added::Registered);
    assert_eq!(kqueue.add(fds[1]).unwrap(), Added::Registered);
    assert_eq!(kqueue.add(fds[2]).unwrap(), Added::Full);
    // One that is on the list takes no more room for being added again.
    assert_eq!(kqueue.add(fds[1]).unwrap(), Added::Registered);
    assert_eq!(edges(&mut kqueue), [(fds[0], WRITE), (fds[1], WRITE)]);
    assert_eq!(kqueue.add(fds[2]).unwrap(), Added::Registered);
    assert_eq!(edges(&mut kqueue), [(fds[2], WRITE)]);
}

#[test]
fn an_interruption_loses_neither_changes_nor_events() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (mut a, b) = pair();
    let fd = b.as_raw_fd();
    a.write_all(b"x").unwrap();
    kqueue.add(fd).unwrap();
    script(&[Nasty::Interrupt, Nasty::Interrupt]);
    for _ in 0..2 {
        let (edges, outcome) = wait(&mut kqueue, Wait::Forever);
        assert_eq!(edges, []);
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
    assert_eq!(edges(&mut kqueue), [(fd, READ), (fd, WRITE)]);
}

#[test]
fn events_that_come_one_by_one_are_all_told() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    for (mut a, b) in pairs.iter().map(|(a, b)| (a, b)) {
        a.write_all(b"x").unwrap();
        kqueue.add(b.as_raw_fd()).unwrap();
    }
    script(&[Nasty::Short(1); 40]);
    let mut seen = Vec::new();
    for _ in 0..40 {
        let (edges, more) = wait(&mut kqueue, Wait::Poll);
        assert_eq!((edges.len(), more.unwrap()), (1, false));
        seen.extend(edges);
    }
    seen.sort_by_key(|(fd, edge)| (*fd, edge.writable));
    let mut all: Vec<_> = pairs
        .iter()
        .flat_map(|(_, b)| [READ, WRITE].map(|edge| (b.as_raw_fd(), edge)))
        .collect();
    all.sort_by_key(|(fd, edge)| (*fd, edge.writable));
    assert_eq!(seen, all);
    assert_eq!(edges(&mut kqueue), []);
}

#[test]
fn more_events_than_a_batch_are_the_next_batch() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let pairs: Vec<_> = (0..=EVENTS_MAX).map(|_| pair()).collect();
    for (_, b) in &pairs {
        kqueue.add(b.as_raw_fd()).unwrap();
        // Makes room in the list, and tells of nothing: its own edge is taken here.
        if kqueue.changes_count == usize::from(CHANGES_MAX) {
            script(&[Nasty::Interrupt]);
            assert!(wait(&mut kqueue, Wait::Poll).1.is_err());
            kqueue.changes_count = 0;
        }
    }
    let (first, more) = wait(&mut kqueue, Wait::Poll);
    assert!(more.unwrap());
    let (rest, more) = wait(&mut kqueue, Wait::Poll);
    assert!(!more.unwrap());
    assert_eq!(
        (first.len(), rest.len()),
        (usize::from(EVENTS_MAX), 1),
        "as many as fit, then what is left"
    );
}

/// Closes a descriptor, and opens another file with the same number.
fn reopened(old: UnixStream, new: &UnixStream) -> UnixStream {
    let fd = old.into_raw_fd();
    // SAFETY: `fd` is the test's own; it is closed, and open again as the new file, in one step.
    assert!(unsafe { libc::dup2(new.as_raw_fd(), fd) } >= 0);
    // SAFETY: opened just now, by this test.
    unsafe { UnixStream::from_raw_fd(fd) }
}

#[test]
fn what_happens_to_a_closed_file_is_not_told_of_the_next_one_of_that_number() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (mut old_peer, old) = pair();
    let still_open = old.try_clone().unwrap();
    let fd = old.as_raw_fd();
    kqueue.add(fd).unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, WRITE)]);
    // An event that has happened, and was not fetched, when the number changes hands.
    old_peer.write_all(b"stale").unwrap();
    let (mut peer, new) = pair();
    let new = reopened(old, &new);
    assert_eq!(new.as_raw_fd(), fd);
    assert_eq!(edges(&mut kqueue), []);
    kqueue.add(fd).unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, WRITE)]);
    old_peer.write_all(b"stale").unwrap();
    assert_eq!(edges(&mut kqueue), []);
    peer.write_all(b"x").unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, READ)]);
    drop(still_open);
}

#[test]
fn a_change_of_a_descriptor_that_is_removed_does_not_leave_for_the_next_one_of_that_number() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let (_old_peer, old) = pair();
    let (_other_peer, other) = pair();
    let fd = old.as_raw_fd();
    kqueue.add(fd).unwrap();
    kqueue.add(other.as_raw_fd()).unwrap();
    kqueue.remove(fd);
    let (mut peer, new) = pair();
    let new = reopened(old, &new);
    peer.write_all(b"x").unwrap();
    assert_eq!(edges(&mut kqueue), [(other.as_raw_fd(), WRITE)]);
    kqueue.add(new.as_raw_fd()).unwrap();
    assert_eq!(edges(&mut kqueue), [(fd, READ), (fd, WRITE)]);
}

#[test]
fn a_wait_takes_the_time_that_it_is_given_and_no_less() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let before = crate::clock::monotonic_ns();
    let (edges, more) = wait(&mut kqueue, Wait::AtMost(Duration::from_micros(1500)));
    assert!(crate::clock::monotonic_ns() - before >= 1_500_000);
    assert_eq!((edges, more.unwrap()), (vec![], false));
    assert_eq!(timespec(Duration::MAX.min(WAIT_MAX)).tv_sec, 86_400);
}

/// The whole engine.
fn engine() -> Readiness<Kqueue> {
    Readiness::new(Kqueue::new(64).unwrap())
}

fn receive(fd: RawFd, buffer: &mut [u8; 8]) -> Op {
    let request = Request::Receive {
        fd,
        buffer: buffer.as_mut_ptr(),
        len: 8,
        peek: false,
    };
    Op::new(request, 0)
}

#[test]
fn an_op_whose_direction_is_refused_fails_with_that_code_and_the_others_go_on() {
    let mut engine = engine();
    let (mut a, b) = pair();
    let (mut c, d) = pair();
    let mut buffers = [[0; 8]; 3];
    let [one, two, three] = &mut buffers;
    let unlucky = receive(b.as_raw_fd(), one);
    let lucky = receive(d.as_raw_fd(), two);
    for op in [&unlucky, &lucky] {
        // SAFETY: the ops stay where they are, and outlive the turns below, as their buffers do.
        unsafe { engine.submit(op) };
    }
    script(&[Nasty::Refuse {
        fd: b.as_raw_fd(),
        filter: EVFILT_READ,
        code: libc::ENOMEM,
    }]);
    let mut done = Vec::new();
    engine
        .turn(Wait::Forever, |op| done.push(op.result()))
        .unwrap();
    assert_eq!(done, [-libc::ENOMEM]);
    assert_eq!(engine.in_flight(), 1);
    // The next one on the same descriptor asks the kernel anew, and waits as it should.
    let again = receive(b.as_raw_fd(), three);
    // SAFETY: as above.
    unsafe { engine.submit(&again) };
    a.write_all(b"again").unwrap();
    c.write_all(b"ok").unwrap();
    while engine.in_flight() > 0 {
        engine
            .turn(Wait::Forever, |op| done.push(op.result()))
            .unwrap();
    }
    done.sort_unstable();
    assert_eq!(done, [-libc::ENOMEM, 2, 5]);
}

#[test]
fn a_turn_that_is_interrupted_ends_well_and_the_next_one_does_its_work() {
    let mut engine = engine();
    let (mut a, b) = pair();
    let mut buffer = [0; 8];
    let op = receive(b.as_raw_fd(), &mut buffer);
    // SAFETY: the op stays where it is, and outlives the turns below, as its buffer does.
    unsafe { engine.submit(&op) };
    a.write_all(b"last").unwrap();
    drop(a);
    script(&[Nasty::Interrupt, Nasty::Short(1)]);
    let mut done = Vec::new();
    for expected in [0, 1] {
        engine
            .turn(Wait::Forever, |op| done.push(op.result()))
            .unwrap();
        assert_eq!(done.len(), expected);
    }
    assert_eq!(done, [4]);
    // The end came with those bytes, and no edge will tell of it again.
    let end = receive(b.as_raw_fd(), &mut buffer);
    // SAFETY: as above.
    unsafe { engine.submit(&end) };
    assert_eq!((end.result(), engine.in_flight()), (0, 0));
}

/// A timeout of the monotonic clock, so long from now.
fn timeout(time: Duration) -> Op {
    let now = Duration::from_nanos(clock::monotonic_ns());
    let request = Request::Timeout {
        at: Moment::new(now + time),
        wall: false,
    };
    Op::new(request, 0)
}

/// Turns until nothing is in flight; the results, in their order.
fn finish(engine: &mut Readiness<Kqueue>) -> Vec<i32> {
    let mut done = Vec::new();
    while engine.in_flight() > 0 {
        let longest = Wait::AtMost(Duration::from_secs(1));
        engine.turn(longest, |op| done.push(op.result())).unwrap();
    }
    done
}

#[test]
fn a_timer_that_goes_off_early_is_set_anew() {
    let mut engine = engine();
    let hour = timeout(Duration::from_hours(1));
    // SAFETY: the op stays where it is, and outlives the turns below.
    unsafe { engine.submit(&hour) };
    script(&[Nasty::Early; 3]);
    for _ in 0..3 {
        engine
            .turn(Wait::Poll, |_| panic!("nothing is due"))
            .unwrap();
        assert_eq!(hour.state(), State::Queued);
    }
    let soon = timeout(Duration::from_millis(5));
    // SAFETY: as above.
    unsafe { engine.submit(&soon) };
    script(&[Nasty::Early; 2]);
    while soon.state() != State::Done {
        engine
            .turn(Wait::AtMost(Duration::from_secs(1)), |_| ())
            .unwrap();
    }
    assert!(soon.result() == 0 && left(&soon).is_none());
    script(&[Nasty::Early]);
    engine.turn(Wait::Poll, |_| ()).unwrap();
    assert_eq!(hour.state(), State::Queued, "and cancelled there");
    // SAFETY: submitted to this engine.
    let outcome = unsafe { engine.cancel(&hour) };
    assert_eq!(outcome, super::super::CancelOutcome::Done);
    assert_eq!(engine.in_flight(), 0);
}

#[test]
fn a_timer_that_is_refused_ends_its_op_alone() {
    let mut engine = engine();
    let ops = [1, 2, 3].map(|count| timeout(Duration::from_millis(count)));
    for op in &ops {
        // SAFETY: the ops stay where they are, and outlive the turns below.
        unsafe { engine.submit(op) };
    }
    script(&[Nasty::RefuseTimer(libc::ENOMEM)]);
    assert_eq!(finish(&mut engine), [-libc::ENOMEM, 0, 0]);
}

#[test]
fn a_timer_that_is_refused_after_an_interruption_has_left_the_kernel() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let op = timeout(Duration::from_millis(2));
    // SAFETY: the op outlives the waits below.
    unsafe { kqueue.add_timer(&op) }.unwrap();
    script(&[Nasty::Interrupt, Nasty::RefuseTimer(libc::ENOMEM)]);
    assert!(kqueue.wait(Wait::Poll, |_| ()).is_err());
    let mut told = Vec::new();
    for _ in 0..10 {
        let wait = Wait::AtMost(Duration::from_millis(1));
        let report = |event: Told<'_>| match event {
            Told::Timer(of, refused) => told.push((ptr::from_ref(of), refused)),
            Told::Edge(..) => panic!("nothing is registered"),
        };
        kqueue.wait(wait, report).unwrap();
    }
    assert_eq!(told, [(ptr::from_ref(&op), libc::ENOMEM)]);
}

#[test]
fn a_timer_is_reckoned_anew_when_it_leaves_a_second_time() {
    let mut kqueue = Kqueue::new(64).unwrap();
    let op = timeout(Duration::from_millis(3));
    // SAFETY: the op outlives the waits below.
    unsafe { kqueue.add_timer(&op) }.unwrap();
    let mut data = Vec::new();
    script(&[Nasty::Interrupt; 3]);
    while data.len() < 3 {
        assert!(kqueue.wait(Wait::Poll, |_| ()).is_err());
        data.push(kqueue.changes[0].data);
        while data.len() == 2 && left(&op).is_some() {}
    }
    assert!(data[1] < data[0] && data[2] == 1, "{data:?}");
    kqueue.remove_timer(&op);
}

#[test]
fn a_moment_of_the_wall_clock_is_asked_for_as_such_and_for_a_minute_at_most() {
    let mut kqueue = Kqueue::new(64).unwrap();
    for (far, expected) in [(10, 10), (3600, 60)] {
        let at = clock::wall() + Duration::from_secs(far);
        let request = Request::Timeout {
            at: Moment::new(at),
            wall: true,
        };
        let op = Op::new(request, 0);
        // SAFETY: the op outlives the wait below.
        unsafe { kqueue.add_timer(&op) }.unwrap();
        let before = clock::wall().as_nanos();
        script(&[Nasty::Interrupt]);
        assert!(kqueue.wait(Wait::Poll, |_| ()).is_err());
        let Event { fflags, data, .. } = kqueue.changes[0];
        assert_eq!(fflags, NOTE_NSECONDS | NOTE_AT);
        let wait = u128::try_from(data).unwrap() - before;
        assert!(wait.div_ceil(1_000_000_000) >= expected, "{wait}");
        assert!(wait < (expected + 10) * 1_000_000_000, "{wait}");
        kqueue.remove_timer(&op);
    }
}

#[test]
fn timers_and_descriptors_share_the_room_for_changes() {
    let mut kqueue = Kqueue::new(1).unwrap();
    let (_a, b) = pair();
    let fd = b.as_raw_fd();
    let year = Duration::from_hours(24 * 365);
    let ops = [timeout(year), timeout(year), timeout(year)];
    // SAFETY: the ops outlive the waits below.
    let add = |kqueue: &mut Kqueue, which: usize| unsafe { kqueue.add_timer(&ops[which]) };
    assert_eq!(add(&mut kqueue, 0).unwrap(), Added::Registered);
    assert_eq!(kqueue.add(fd).unwrap(), Added::Full);
    assert_eq!(add(&mut kqueue, 1).unwrap(), Added::Registered);
    assert_eq!(add(&mut kqueue, 2).unwrap(), Added::Full);
    // What is taken back before it has left makes room, and leaves the others where they are.
    kqueue.remove_timer(&ops[0]);
    assert_eq!(kqueue.changes_count, 1);
    assert_eq!(kqueue.changes[0].ident, ptr::from_ref(&ops[1]).addr());
    kqueue.remove_timer(&ops[1]);
    assert_eq!(kqueue.add(fd).unwrap(), Added::Registered);
    assert_eq!(edges(&mut kqueue), [(fd, WRITE)]);
}
