//! What the sockets of one process share, and what they leave behind.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use flux::net::{TcpListener, TcpStream};
use flux::{Fiber, StackClass, yield_now};

use crate::common::{config, descriptors, fibers, lets_the_others_run, pair, passes_alone, run};
use crate::{LOCALHOST, kind, reset};

#[test]
fn a_fiber_whose_writes_never_wait_lets_the_others_run() {
    fibers(|| {
        let (client, _server) = pair();
        lets_the_others_run(10, 1, || {
            assert_eq!((&client).write(b"x").unwrap(), 1);
        });
    });
}

#[test]
fn a_process_without_descriptors_fails_an_accept_and_recovers() {
    passes_alone(
        "limits::a_process_without_descriptors_fails_an_accept_and_recovers",
        &[],
        || {
            let limit = libc::rlimit {
                rlim_cur: 64,
                rlim_max: 64,
            };
            // SAFETY: the limit is valid during the call, in a process that runs nothing but this.
            assert_eq!(0, unsafe {
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
            });
            fibers(|| {
                let (mut client, mut server) = pair();
                let listener = TcpListener::bind(LOCALHOST).unwrap();
                let address = listener.local_addr().unwrap();
                let mut waiting = TcpStream::connect(address).unwrap();
                let used_up: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
                    .take(64)
                    .collect();
                assert!(used_up.len() < 64);
                for _ in 0..3 {
                    let error = listener.accept().unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                }
                let error = TcpStream::connect(address).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                let error = client.try_clone().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                // Connections that are there go on.
                client.write_all(b"on").unwrap();
                assert_eq!(server.read(&mut [0; 8]).unwrap(), 2);
                drop(used_up);
                let (mut accepted, _) = listener.accept().unwrap();
                waiting.write_all(b"late").unwrap();
                assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 4);
            });
        },
    );
}

/// The client's half of a connection that ends in one of five ways.
fn come_and_go(number: usize, address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = [0; 4];
    stream.write_all(b"ping")?;
    stream.read_exact(&mut buffer)?;
    assert_eq!(&buffer, b"ping");
    match number % 5 {
        0 => {}
        1 => reset(stream),
        2 => {
            stream.write_all(b"quit")?;
            assert_eq!(stream.read(&mut buffer)?, 0);
        }
        3 => {
            stream.write_all(b"reset")?;
            assert_eq!(
                kind(stream.read(&mut buffer)),
                Some(ErrorKind::ConnectionReset)
            );
        }
        _ => {
            let clone = stream.try_clone()?;
            let reading = flux::Builder::new()
                .stack(StackClass::Small)
                .spawn(move || (&clone).read(&mut [0; 8]).map_err(|e| e.raw_os_error()));
            yield_now()?;
            reading.cancel();
            assert_eq!(reading.join()?, Err(Some(libc::ECANCELED)));
        }
    }
    Ok(())
}

/// The server's half: answers until it is told to go first, or the client has gone.
fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 8];
    loop {
        match stream.read(&mut buffer) {
            Ok(4) if &buffer[..4] == b"ping" => stream.write_all(b"ping").unwrap(),
            Ok(5) => return reset(stream),
            Ok(_) => return,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    passes_alone(
        "limits::ten_thousand_connections_leave_nothing_behind",
        &[],
        || {
            const CONNECTIONS: usize = 10_000;
            const BATCH: usize = 100;
            const FIBERS: usize = 3 * BATCH + 8;
            let in_use = || {
                let stats = flux::stats();
                let stacks = stats.stacks.map(|class| class.in_use);
                (stats.fibers_in_use, stats.fibers_live, stacks)
            };
            let config = config()
                .fibers(FIBERS)
                .stacks(StackClass::Small, FIBERS)
                .prefault(4096);
            run(config, move || {
                // Several addresses, so that ports which rest for a minute after a connection do not run out.
                let listeners: Vec<TcpListener> = (1..=4)
                    .map(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap())
                    .collect();
                let before = (descriptors(), in_use());
                for listener in listeners.iter().cycle().take(CONNECTIONS / BATCH) {
                    let address = listener.local_addr().unwrap();
                    flux::scope(|s| {
                        for number in 0..BATCH {
                            let client = move || come_and_go(number, address).unwrap();
                            s.spawn_fiber(Fiber::new(StackClass::Small, "client", client));
                        }
                        for stream in listener.incoming().take(BATCH) {
                            let stream = stream.unwrap();
                            let server = move || answer(stream);
                            s.spawn_fiber(Fiber::new(StackClass::Small, "server", server));
                        }
                    });
                    assert_eq!((descriptors(), in_use()), before);
                }
                let after = flux::stats();
                assert_eq!((after.ops_in_flight, after.overflow_depth), (0, 0));
                assert_eq!(after.deadlines, 0);
            })
            .unwrap();
        },
    );
}
