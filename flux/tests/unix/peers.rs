//! Paths, names, and who is there: listeners, full queues, files in the way, and peers that go.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::SocketAddr;

use flux::net::{UnixListener, UnixStream};
use flux::time::{Instant, sleep};
use flux::{spawn, timeout};
use socket2::{Domain, SockAddr, SockAddrStorage, SockRef, Socket, Type};

use crate::common::{fibers, settle};
use crate::streams::{MIB, pattern};
use crate::{ECANCELED, Folder, SHORT, code};

#[test]
fn connections_come_to_a_path() {
    fibers(|| {
        let folder = Folder::new("path");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let accepting = spawn(move || {
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                assert_eq!(stream.peer_addr().unwrap().as_pathname(), None);
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(&[byte[0] + 100]).unwrap();
            }
            let fourth = (&listener).into_iter().next().unwrap().unwrap();
            let address = fourth.peer_addr().unwrap();
            assert!(address.is_unnamed());
            listener.accept().unwrap().1
        });
        settle();
        for number in 0..3 {
            let mut stream = UnixStream::connect(&path).unwrap();
            assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(&*path));
            assert!(stream.local_addr().unwrap().is_unnamed());
            let mut answer = [0];
            stream.write_all(&[number]).unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[0], number + 100);
        }
        for _ in 0..2 {
            UnixStream::connect(&path).unwrap();
        }
        assert!(accepting.join().unwrap().is_unnamed());
    });
}

#[test]
fn the_address_of_a_client_that_has_one_is_told() {
    fibers(|| {
        let folder = Folder::new("named");
        let listener = UnixListener::bind(folder.path("socket")).unwrap();
        let to = SockAddr::unix(folder.path("socket")).unwrap();
        let client = |path: &std::path::Path| {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.bind(&SockAddr::unix(path).unwrap()).unwrap();
            client.connect(&to).unwrap();
            client
        };
        let path = folder.path("client");
        let _client = client(&path);
        let (_stream, address) = listener.accept().unwrap();
        assert_eq!(address.as_pathname(), Some(&*path));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_fills_the_whole_field_is_told_as_std_tells_it() {
    fibers(|| {
        let folder = Folder::new("full");
        let listener = UnixListener::bind(folder.path("socket")).unwrap();
        // 108 bytes: there is no room for the zero at the end, and the kernel takes it all the same.
        let room = 108 - folder.as_path().as_os_str().len() - 1;
        let path = folder.path(&"x".repeat(room));
        let to = folder.path("socket");
        connect_from_a_path_without_its_zero(&path, &to);
        let (stream, address) = listener.accept().unwrap();
        let told = stream.peer_addr().unwrap();
        assert_eq!(address.as_pathname(), told.as_pathname());
        assert!(address.as_pathname().is_some());
    });
}

/// Binds to a path of exactly the field's length, connects, and leaves.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "no safe call makes an address without a zero at its end"
)]
fn connect_from_a_path_without_its_zero(path: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = path.as_os_str().as_bytes();
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: such an address is one of those that the storage is for.
    let field = unsafe { storage.view_as::<libc::sockaddr_un>() };
    field.sun_family = 1;
    assert_eq!(bytes.len(), field.sun_path.len());
    for (to, from) in field.sun_path.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    // SAFETY: the family and the path were filled in, and this is the length of the two.
    let address = unsafe { SockAddr::new(storage, 110) };
    let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    client.bind(&address).unwrap();
    client.connect(&SockAddr::unix(to).unwrap()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn connections_come_to_an_abstract_name_and_leave_no_file() {
    use std::os::linux::net::SocketAddrExt as _;
    fibers(|| {
        let name = format!("flux-test-{}\0with a zero", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let there = listener.local_addr().unwrap();
        assert_eq!(there.as_abstract_name(), Some(name.as_bytes()));
        let in_use = UnixListener::bind_addr(&address).unwrap_err();
        assert_eq!(in_use.kind(), ErrorKind::AddrInUse);
        let mut client = UnixStream::connect_addr(&address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"abstract").unwrap();
        assert_eq!(server.read(&mut [0; 16]).unwrap(), 8);
        drop(listener);
        let gone = UnixStream::connect_addr(&address).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_file_in_the_way_and_paths_that_are_none_are_refused() {
    fibers(|| {
        let folder = Folder::new("refused");
        let path = folder.path("socket");
        let missing = UnixStream::connect(&path).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        std::fs::write(&path, "a file").unwrap();
        let in_the_way = UnixListener::bind(&path).unwrap_err();
        assert_eq!(in_the_way.kind(), ErrorKind::AddrInUse);
        let no_socket = UnixStream::connect(&path).unwrap_err();
        assert_eq!(no_socket.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let first = UnixListener::bind(&path).unwrap();
        drop(first);
        // The file stays, as in std, and nobody listens there.
        let left_behind = UnixListener::bind(&path).unwrap_err();
        assert_eq!(left_behind.kind(), ErrorKind::AddrInUse);
        let nobody = UnixStream::connect(&path).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::ConnectionRefused);
        for text in ["x".repeat(200), "zero\0inside".to_owned()] {
            for error in [
                UnixListener::bind(&text).unwrap_err(),
                UnixStream::connect(&text).unwrap_err(),
            ] {
                let same_as_std = std::os::unix::net::UnixListener::bind(&text).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert_eq!(error.to_string(), same_as_std.to_string());
            }
        }
        let nowhere = SocketAddr::from_pathname("").unwrap();
        let std_says = std::os::unix::net::UnixStream::connect_addr(&nowhere).unwrap_err();
        let error = UnixStream::connect_addr(&nowhere).unwrap_err();
        assert_eq!(error.raw_os_error(), std_says.raw_os_error());
    });
}

/// A listener whose queue is full, with the connections that fill it.
#[cfg(target_os = "linux")]
fn full(path: &std::path::Path) -> (UnixListener, Vec<UnixStream>) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, || UnixStream::connect(path)) {
        queued.push(stream.unwrap());
        assert!(queued.len() < 64, "the queue of a listener is bounded");
    }
    (std::os::fd::OwnedFd::from(socket).into(), queued)
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_waits_while_the_listeners_queue_is_full() {
    fibers(|| {
        let folder = Folder::new("full-queue");
        let path = folder.path("socket");
        let (listener, queued) = full(&path);
        let start = Instant::now();
        let late = timeout(SHORT, || UnixStream::connect(&path));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        let connecting = spawn({
            let path = path.clone();
            move || code(UnixStream::connect(path))
        });
        settle();
        connecting.cancel();
        assert_eq!(connecting.join().unwrap(), Some(ECANCELED));
        let connecting = spawn(move || UnixStream::connect(path));
        sleep(SHORT).unwrap();
        assert!(!connecting.is_finished());
        for _ in &queued {
            listener.accept().unwrap();
        }
        let mut client = connecting.join().unwrap().unwrap();
        assert!(
            !SockRef::from(&client).nonblocking().unwrap(),
            "as std leaves it"
        );
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"in the end").unwrap();
        assert_eq!(server.read(&mut [0; 16]).unwrap(), 10);
    });
}

#[test]
fn an_accept_waits_and_is_ended_by_a_time_or_a_cancel() {
    fibers(|| {
        let folder = Folder::new("accept");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let late = timeout(SHORT, || listener.accept().map(drop));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let accepting = spawn({
            let listener = listener.try_clone().unwrap();
            move || (code(listener.accept()), code(listener.accept()))
        });
        settle();
        accepting.cancel();
        let cancelled = (Some(ECANCELED), Some(ECANCELED));
        assert_eq!(accepting.join().unwrap(), cancelled);
        let _client = UnixStream::connect(&path).unwrap();
        assert!(listener.accept().is_ok(), "nothing was lost by that");
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn a_peer_that_goes_is_an_end_or_an_error_of_whatever_waits() {
    fibers(|| {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"last words").unwrap();
        drop(b);
        let mut words = String::new();
        a.read_to_string(&mut words).unwrap();
        assert_eq!(words, "last words");
        assert_eq!(a.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(a.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (a, b) = UnixStream::pair().unwrap();
        let reading = spawn({
            let a = a.try_clone().unwrap();
            move || (&a).read(&mut [0; 8])
        });
        let writing = spawn(move || (&a).write_all(&pattern(4 * MIB)));
        sleep(SHORT).unwrap();
        assert_eq!(flux::stats().ops_in_flight, 2, "both wait");
        drop(b);
        // Bytes that were never read: Linux calls that a reset, others an end.
        match reading.join().unwrap() {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let kind = writing.join().unwrap().unwrap_err().kind();
        let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(gone.contains(&kind), "{kind:?}");
    });
}
