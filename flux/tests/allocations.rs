//! After init, nothing allocates: 100 000 of each, counted. A process of its own, since it counts all.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;

use counting::allocates_nothing;
use flux::net::{TcpListener, TcpStream, UdpEvent, UdpSocket, UnixListener, UnixStream};
use flux::sequence::{Arbiter, Bounds, Span};
use flux::timer::{self, TimerSource};
use flux::{Config, Core, Fiber, StackClass, spawn};

const ROUNDS: u64 = 100_000;

#[flux::fiber(stack = "small")]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[flux::fiber(stack = "small", max = 2)]
fn add_few(a: u64, b: u64) -> u64 {
    a + b
}

#[test]
fn nothing_allocates_after_init() {
    Config::new()
        .core(Core::None)
        .run(|| {
            allocates_nothing("spawn + join of a macro's fiber", || {
                for round in 0..ROUNDS {
                    assert_eq!(spawn(add(round, 1)).join().unwrap(), round + 1);
                }
            });
            allocates_nothing("spawns that wait for a place among `max`", || {
                for round in 0..ROUNDS {
                    let all = [0, 1, 2, 3].map(|b| spawn(add_few(round, b)));
                    let full = flux::try_spawn(add_few(round, 4));
                    assert!(full.is_err() || full.is_ok_and(|last| last.join().is_ok()));
                    assert!(all.into_iter().all(|fiber| fiber.join().is_ok()));
                }
            });
            allocates_nothing("spawn + join of a closure", || {
                for round in 0..ROUNDS {
                    assert_eq!(spawn(move || round).join().unwrap(), round);
                }
            });
            allocates_nothing("yield", || {
                for _ in 0..ROUNDS {
                    flux::yield_now().unwrap();
                }
            });
            echoes();
            feeds();
            local_echoes();
            datagrams();
            packets();
            arbitration();
            sleeps();
            timers();
            hand_offs();
            cancels_and_deadlines();
            allocates_nothing("stats", || {
                assert!(flux::stats().turns > 0);
            });
        })
        .unwrap();
}

fn echoes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 64];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer).unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    allocates_nothing("echo round trips", || {
        let mut answer = [0; 64];
        for _ in 0..ROUNDS {
            stream.write_all(&[7; 64]).unwrap();
            stream.read_exact(&mut answer).unwrap();
        }
    });
    drop(stream);
    server.join().unwrap();
}

fn feeds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0];
            while stream.read_exact(&mut asked).is_ok() {
                stream.write_all(&[7; 300]).unwrap();
            }
        }
    });
    for hot in [false, true] {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_hot(hot);
        let mut feed = stream.into_feed().unwrap();
        allocates_nothing("messages of a feed", || {
            for _ in 0..ROUNDS {
                feed.write_all(&[1]).unwrap();
                while feed.unread().len() < 300 {
                    feed.fill().unwrap();
                }
                assert_eq!(feed.unread()[299], 7);
                feed.consume(300);
            }
        });
    }
    server.join().unwrap();
    allocates_nothing("feeds opened and closed", || {
        for _ in 0..100 {
            let (ours, _theirs) = common::pair();
            drop(ours.into_feed().unwrap());
        }
    });
}

fn packets() {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    let mut feed = socket.into_feed().unwrap();
    allocates_nothing("packets of a feed, and those that it drops", || {
        for round in 0..ROUNDS / 10 {
            for _ in 0..10 {
                sender.send_to(&[7; 100], to).unwrap();
            }
            for _ in 0..10 {
                match feed.recv().unwrap() {
                    UdpEvent::Packet(packet) => {
                        assert_eq!(packet.len(), 100);
                        assert!(packet.sender().is_some());
                    }
                    other => panic!("round {round}: {other:?}"),
                }
            }
            assert!(feed.try_recv().unwrap().is_none());
        }
    });
    allocates_nothing("a feed, opened and closed", || {
        for _ in 0..100 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut feed = socket.into_feed().unwrap();
            sender
                .send_to(b"tick", feed.socket().local_addr().unwrap())
                .unwrap();
            assert!(feed.recv().is_ok());
        }
    });
}

fn arbitration() {
    let mut arbiter = Arbiter::new(Bounds::default());
    let (mut next, mut messages) = (0, 0);
    allocates_nothing("two lines made one", || {
        for round in 0..ROUNDS {
            // Each line loses some, moves some, and some are lost on both.
            for (line, lost) in [(0, 3), (1, 5)] {
                if round % lost > 0 {
                    let span = Span {
                        session: 1,
                        first: next ^ 1,
                        count: 1,
                    };
                    let at = Duration::from_micros(round);
                    arbiter.offer(line, span, &[7; 100], at, |_| messages += 1);
                }
            }
            next += 1;
        }
    });
    assert!(messages > 0 && arbiter.counts().missing > 0);
}

fn local_echoes() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = spawn(move || {
        let (mut first, mut second) = ([0; 16], [0; 48]);
        loop {
            let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            match (&far).read_vectored(&mut buffers).unwrap() {
                0 => break,
                count => assert_eq!(count, 64),
            }
            let parts = [IoSlice::new(&first), IoSlice::new(&second)];
            assert_eq!((&far).write_vectored(&parts).unwrap(), 64);
        }
    });
    allocates_nothing("round trips of several buffers", || {
        let mut answer = [0; 64];
        for _ in 0..ROUNDS {
            (&near).write_all(&[7; 64]).unwrap();
            (&near).read_exact(&mut answer).unwrap();
        }
    });
    drop(near);
    server.join().unwrap();

    let path = std::env::temp_dir().join(format!("flux-allocations-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    allocates_nothing("connections at a path", || {
        for _ in 0..ROUNDS / 100 {
            let mut client = UnixStream::connect(&path).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(b"tick").unwrap();
            assert_eq!(client.read(&mut [0; 8]).unwrap(), 4);
        }
    });
    std::fs::remove_file(path).unwrap();
}

fn datagrams() {
    let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = far.local_addr().unwrap();
    near.connect(to).unwrap();
    let server = spawn(move || {
        let mut buffer = [0; 64];
        loop {
            match far.recv_from(&mut buffer).unwrap() {
                (0, _) => break,
                (len, from) => assert_eq!(far.send_to(&buffer[..len], from).unwrap(), len),
            }
        }
    });
    allocates_nothing("round trips of datagrams", || {
        let mut answer = [0; 64];
        for _ in 0..ROUNDS {
            near.send(&[7; 64]).unwrap();
            assert_eq!(near.recv(&mut answer).unwrap(), 64);
        }
    });
    near.send(&[]).unwrap();
    server.join().unwrap();
    near.set_read_timeout(Some(Duration::from_nanos(1)))
        .unwrap();
    allocates_nothing("time-outs of datagrams", || {
        for _ in 0..ROUNDS / 100 {
            assert!(near.recv_from(&mut [0; 8]).is_err());
        }
    });
}

fn sleeps() {
    const SLEEPERS: u64 = 100;
    allocates_nothing("sleeps", || {
        flux::scope(|s| {
            for _ in 0..SLEEPERS {
                s.spawn_fiber(Fiber::new(StackClass::Small, "sleeper", || {
                    for _ in 0..ROUNDS / SLEEPERS {
                        flux::time::sleep(Duration::from_nanos(100)).unwrap();
                    }
                }));
            }
        });
    });
}

fn timers() {
    allocates_nothing("callback timers, set and taken back", || {
        for round in 0..ROUNDS {
            let timer = timer::after(Duration::from_micros(round)).callback(|_| ());
            drop(timer.unwrap());
        }
    });
    allocates_nothing("callback timers that run", || {
        for _ in 0..ROUNDS / 100 {
            for _ in 0..100 {
                let timer = timer::after(Duration::ZERO).callback(|_| ());
                timer.unwrap().detach();
            }
            flux::yield_now().unwrap();
        }
    });
    allocates_nothing("timers of the kernel's clock", || {
        for _ in 0..ROUNDS / 100 {
            let once = timer::after(Duration::from_hours(1)).source(TimerSource::Kernel);
            drop(once.callback(|_| ()).unwrap());
            flux::yield_now().unwrap();
        }
    });
    allocates_nothing("timers as fibers", || {
        for _ in 0..ROUNDS / 10 {
            let timer = timer::after(Duration::ZERO).fiber(|_| ());
            timer.unwrap().detach();
            flux::yield_now().unwrap();
        }
    });
    allocates_nothing("intervals", || {
        let mut moments = flux::time::interval(Duration::from_nanos(100));
        for _ in 0..ROUNDS / 10 {
            moments.tick().unwrap();
        }
    });
}

fn hand_offs() {
    let (there, incoming) = flux::sync::channel(1);
    let (answers, back) = flux::sync::channel(1);
    let echo = spawn(move || {
        while let Ok(value) = incoming.recv() {
            if answers.send(value).is_err() {
                break;
            }
        }
    });
    allocates_nothing("channel hand-offs", || {
        for round in 0..ROUNDS {
            there.send(round).unwrap();
            assert_eq!(back.recv().unwrap(), round);
        }
    });
    drop(there);
    echo.join().unwrap();
}

fn cancels_and_deadlines() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_peer, _) = listener.accept().unwrap();
    allocates_nothing("cancels and deadlines of reads", || {
        for _ in 0..ROUNDS / 100 {
            flux::scope(|s| {
                let reading = s.spawn(|| (&stream).read(&mut [0; 8]).is_err());
                flux::yield_now().unwrap();
                reading.cancel();
                assert!(reading.join().unwrap());
            });
            let late = flux::timeout(Duration::from_nanos(1), || (&stream).read(&mut [0; 8]));
            assert!(late.is_err());
        }
    });
}
