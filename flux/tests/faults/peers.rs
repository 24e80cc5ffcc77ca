//! Peers that reset, that half-close, that stop reading, and that read slowly, all beside each other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::thread;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::time::sleep;
use socket2::SockRef;

use crate::bystander::Bystander;
use crate::{LOCALHOST, on_each_engine, pair, unharmed};

const PEERS: usize = 48;
const SMALL: usize = 4096;

/// How a peer behaves, and what its server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Polite,
    Resets,
    HalfCloses,
    StopsReading,
}

impl Manner {
    const ALL: [Self; 4] = [
        Self::Polite,
        Self::Resets,
        Self::HalfCloses,
        Self::StopsReading,
    ];

    fn of(byte: u8) -> Self {
        Self::ALL[usize::from(byte) % Self::ALL.len()]
    }
}

/// The other side, on a thread: announces its manner with a byte, and has it.
fn peer(number: usize, server: SocketAddr) -> io::Result<()> {
    let mut stream = StdStream::connect(server)?;
    let byte = u8::try_from(number).expect("there are few");
    stream.write_all(&[byte])?;
    let mut answer = [0; 5];
    match Manner::of(byte) {
        Manner::Polite => {
            for _ in 0..20 {
                stream.write_all(b"price")?;
                stream.read_exact(&mut answer)?;
                assert_eq!(&answer, b"price");
            }
        }
        Manner::Resets => {
            stream.write_all(b"pri")?;
            thread::sleep(Duration::from_millis(5));
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        Manner::HalfCloses => {
            stream.write_all(b"last")?;
            stream.shutdown(Shutdown::Write)?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            assert_eq!(rest, b"last", "what is answered to a half-close arrives");
        }
        Manner::StopsReading => {
            // Until the server gives up, which resets, since bytes are unread.
            thread::sleep(Duration::from_millis(150));
        }
    }
    Ok(())
}

/// What a server's fiber does with a peer, whatever comes.
fn serve(mut stream: TcpStream) -> (Manner, io::Result<usize>) {
    let mut buffer = [0; 5];
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    let manner = Manner::of(byte[0]);
    if manner == Manner::StopsReading {
        SockRef::from(&stream).set_send_buffer_size(SMALL).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(40)))
            .unwrap();
        let mut sent = 0;
        return loop {
            match stream.write(&[7; SMALL]) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert!(sent > 0, "its queue was empty");
                    break (manner, Err(error));
                }
            }
        };
    }
    let mut total = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break (manner, Ok(total)),
            Ok(count) => {
                total += count;
                if let Err(error) = stream.write_all(&buffer[..count]) {
                    break (manner, Err(error));
                }
            }
            Err(error) => break (manner, Err(error)),
        }
    }
}

#[test]
fn how_a_peer_ends_is_the_business_of_its_own_fiber() {
    on_each_engine(
        "peers::how_a_peer_ends_is_the_business_of_its_own_fiber",
        || {
            unharmed(|| {
                let echo = Bystander::start();
                let listener = TcpListener::bind(LOCALHOST).unwrap();
                let address = listener.local_addr().unwrap();
                let peers: Vec<_> = (0..PEERS)
                    .map(|number| thread::spawn(move || peer(number, address)))
                    .collect();
                let servers: Vec<_> = listener
                    .incoming()
                    .take(PEERS)
                    .map(|stream| {
                        let stream = stream.unwrap();
                        flux::Builder::new()
                            .stack(flux::StackClass::Small)
                            .spawn(move || serve(stream))
                    })
                    .collect();
                let mut seen = [0; Manner::ALL.len()];
                for server in servers {
                    let (manner, outcome) = server.join().unwrap();
                    let outcome = outcome.map_err(|error| error.kind());
                    match manner {
                        Manner::Polite => assert_eq!(outcome, Ok(100)),
                        Manner::HalfCloses => assert_eq!(outcome, Ok(4)),
                        Manner::StopsReading => assert_eq!(outcome, Err(ErrorKind::TimedOut)),
                        Manner::Resets => assert!(
                            matches!(
                                outcome,
                                Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
                            ),
                            "{outcome:?}"
                        ),
                    }
                    seen[manner as usize] += 1;
                }
                assert_eq!(seen, [PEERS / Manner::ALL.len(); Manner::ALL.len()]);
                echo.goes_on(5);
                for peer in peers {
                    peer.join().unwrap().unwrap();
                }
                echo.end();
            });
        },
    );
}

#[test]
fn a_peer_that_reads_slowly_gets_every_byte_of_short_writes() {
    on_each_engine(
        "peers::a_peer_that_reads_slowly_gets_every_byte_of_short_writes",
        || {
            unharmed(|| {
                const BYTES: usize = 1 << 20;
                const AT_ONCE: usize = 64 * 1024;
                let byte = |at: usize| (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0];
                let echo = Bystander::start();
                let (near, far) = pair();
                // The sender's queue alone: small windows on loopback wait for timers of TCP.
                SockRef::from(&near).set_send_buffer_size(SMALL).unwrap();
                let reader = flux::spawn(move || {
                    let (mut at, mut buffer) = (0, [0; 3000]);
                    loop {
                        let count = (&far).read(&mut buffer[..=at % 2999]).unwrap();
                        if count == 0 {
                            return at;
                        }
                        for (offset, found) in buffer[..count].iter().enumerate() {
                            assert_eq!(*found, byte(at + offset), "byte {}", at + offset);
                        }
                        at += count;
                        if at % 64 == 0 {
                            sleep(Duration::from_micros(300)).unwrap();
                        }
                    }
                });
                let bytes: Vec<u8> = (0..BYTES).map(byte).collect();
                let (mut at, mut short) = (0, 0);
                while at < BYTES {
                    let most = AT_ONCE.min(BYTES - at);
                    let count = (&near).write(&bytes[at..at + most]).unwrap();
                    short += usize::from(count < most);
                    at += count;
                }
                assert!(short > 10, "{short} writes were short");
                drop(near);
                assert_eq!(reader.join().unwrap(), BYTES);
                echo.end();
            });
        },
    );
}
