//! The servers under test: the same work written for each contender.
//!
//! All get connected std sockets, the same buffer sizes, the same parser and the same [`Watch`], and run on
//! the calling thread until every connection is closed.

mod flux;
mod lineup;
mod tokio;

pub use lineup::Lineup;

use std::net::TcpStream;
use std::sync::Arc;

use crate::Fault;
use crate::bare;
use crate::frames::Tally;
use crate::raw_epoll;
use crate::raw_uring::{self, Wait};
use crate::watch::Watch;
use flux::Setup;

/// What an echo server receives into.
pub(crate) const ECHO_BUFFER: usize = 4096;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Callbacks on a ring: the limit.
    Raw(Wait),
    /// Callbacks on a ring, with memory that the kernel fills by itself: the limit of feeds that never copy.
    RawFeed(Wait),
    /// Callbacks on epoll: the limit of what has no ring.
    RawEpoll,
    /// One fiber per connection, plain `read` and `write`.
    Flux(Wait),
    /// One fiber per connection, and a `Feed` instead of `read`.
    FluxFeed(Wait),
    /// The same as [`FluxFeed`](Self::FluxFeed), on the engine for kernels that refuse a ring.
    FluxFeedOnEpoll,
    /// As [`Flux`](Self::Flux), spinning, with sockets that the core asks itself.
    FluxHot,
    /// As [`Flux`](Self::Flux), with the engine for kernels that refuse a ring.
    FluxOnEpoll,
    /// `recv` by turns, for ever: the limit of what spins.
    Bare,
    /// One task per connection on tokio's `current_thread` runtime.
    Tokio,
}

impl Server {
    /// The name in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw(Wait::Block) => "raw io_uring",
            Self::Raw(Wait::Spin) => "raw io_uring, spinning",
            Self::RawFeed(Wait::Block) => "raw feed",
            Self::RawFeed(Wait::Spin) => "raw feed, spinning",
            Self::RawEpoll => "raw epoll",
            Self::Flux(Wait::Block) => "flux",
            Self::Flux(Wait::Spin) => "flux, spinning",
            Self::FluxHot => "flux, spinning, hot",
            Self::FluxFeed(Wait::Block) => "flux feed",
            Self::FluxFeed(Wait::Spin) => "flux feed, spinning",
            Self::FluxFeedOnEpoll => "flux feed on epoll",
            Self::FluxOnEpoll => "flux on epoll",
            Self::Bare => "bare recv, spinning",
            Self::Tokio => "tokio",
        }
    }

    /// Sends back whatever comes.
    ///
    /// # Errors
    /// What the contender's connections or its set-up fail with.
    pub fn echo<W: Watch>(self, streams: Vec<TcpStream>, watch: &Arc<W>) -> Result<(), Fault> {
        match self {
            Self::Raw(wait) => raw_uring::echo(streams, &**watch, wait),
            Self::RawEpoll => raw_epoll::echo(streams, &**watch),
            Self::Bare => bare::echo(streams, &**watch),
            Self::Flux(wait) => flux::echo(streams, watch, Setup::uring(wait)),
            Self::FluxHot => flux::echo(streams, watch, Setup::HOT),
            Self::FluxOnEpoll => flux::echo(streams, watch, Setup::EPOLL),
            Self::RawFeed(_) | Self::FluxFeed(_) | Self::FluxFeedOnEpoll => {
                Err("a feed is for what sends nothing back".into())
            }
            Self::Tokio => tokio::echo(streams, watch),
        }
    }

    /// Frames and sums whatever comes.
    ///
    /// # Errors
    /// What the contender's connections or its set-up fail with, or bytes that are no message.
    pub fn feed<W: Watch>(self, streams: Vec<TcpStream>, watch: &Arc<W>) -> Result<Tally, Fault> {
        match self {
            Self::Raw(wait) => raw_uring::feed(streams, &**watch, wait),
            Self::RawEpoll => raw_epoll::feed(streams, &**watch),
            Self::Bare => bare::feed(streams, &**watch),
            Self::Flux(wait) => flux::feed(streams, watch, Setup::uring(wait)),
            Self::FluxHot => flux::feed(streams, watch, Setup::HOT),
            Self::FluxOnEpoll => flux::feed(streams, watch, Setup::EPOLL),
            Self::RawFeed(wait) => raw_uring::feed_in_place(streams, &**watch, wait),
            Self::FluxFeed(wait) => flux::feed_in_place(streams, watch, Setup::uring(wait)),
            Self::FluxFeedOnEpoll => flux::feed_in_place(streams, watch, Setup::EPOLL),
            Self::Tokio => tokio::feed(streams, watch),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::Shutdown;
    use std::sync::{Mutex, PoisonError};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sockets::pairs;
    use crate::watch::Meter;

    const SERVERS: [Server; 7] = [
        Server::Raw(Wait::Block),
        Server::RawEpoll,
        Server::Flux(Wait::Block),
        Server::Flux(Wait::Spin),
        Server::FluxHot,
        Server::FluxOnEpoll,
        Server::Tokio,
    ];

    /// A process has one reactor at a time, and tests run in parallel.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// Runs `client` against an echo server that has one connection. The bytes that the server saw are as many
    /// as the client says. A server that goes silent is an error on the client's side, which has a time-out.
    fn echo(server: Server, client: impl FnOnce(&mut TcpStream) -> io::Result<u64>) {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = pairs(1).expect("loopback");
        let mut stream = ends.client.remove(0);
        let meter = Arc::new(Meter::new(u64::MAX, u64::MAX));
        let serving = {
            let meter = Arc::clone(&meter);
            thread::spawn(move || server.echo(ends.server, &meter))
        };
        let played = client(&mut stream).and_then(|bytes| {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            assert_eq!(rest, b"", "{server:?}");
            Ok(bytes)
        });
        drop(stream);
        // The server's own fault first: the client sees only that it went away.
        let served = serving.join().expect("no panic");
        assert!(served.is_ok(), "{server:?}: {served:?}, {played:?}");
        let bytes = played.unwrap_or_else(|error| panic!("{server:?}: {error}"));
        assert_eq!(meter.seen_so_far(), bytes, "{server:?}");
    }

    fn pattern(from: u64, bytes: &mut [u8]) {
        for (byte, at) in bytes.iter_mut().zip(from..) {
            *byte = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
    }

    #[test]
    fn what_a_full_socket_did_not_take_comes_back_once_there_is_room() {
        for server in SERVERS {
            echo(server, |stream| {
                // Nobody reads, until all buffers there and back are full: then the server waits in a send.
                stream.set_write_timeout(Some(Duration::from_millis(100)))?;
                let (mut sent, mut chunk) = (0, [0; 10_000]);
                loop {
                    pattern(sent, &mut chunk);
                    match stream.write(&chunk) {
                        Ok(count) => sent += count as u64,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                stream.shutdown(Shutdown::Write)?;
                let (mut back, mut expected) = (0, [0; 10_000]);
                while back < sent {
                    let count = stream.read(&mut chunk)?;
                    assert_ne!(count, 0, "{server:?}: {back} of {sent} bytes came back");
                    pattern(back, &mut expected);
                    assert!(chunk[..count] == expected[..count], "{server:?}");
                    back += count as u64;
                }
                Ok(sent)
            });
        }
    }

    #[test]
    fn an_end_that_comes_with_the_last_bytes_is_seen() {
        for server in SERVERS.into_iter().chain([Server::Bare]) {
            for _ in 0..100 {
                echo(server, |stream| {
                    stream.write_all(b"last")?;
                    stream.shutdown(Shutdown::Write)?;
                    let mut back = [0; 4];
                    stream.read_exact(&mut back)?;
                    assert_eq!(&back, b"last", "{server:?}");
                    Ok(4)
                });
            }
        }
    }
}
