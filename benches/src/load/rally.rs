//! Round trips on one connection, as bare as can be: a send, then a receive tried until it gives something.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Instant;

use super::ECHO_BYTES;
use crate::Fault;
use crate::sockets::PATIENCE;
use crate::sys::{recv_now, send_now};
use crate::watch::nanoseconds;

/// Empty receives between two looks at the clock.
const TRIES_PER_LOOK: u32 = 1 << 16;

/// A connection to an echo server, and how many messages to bounce off it, one at a time.
#[derive(Debug)]
pub struct Rally {
    /// The client's end.
    pub stream: TcpStream,
    /// How many messages.
    pub messages: usize,
}

impl Rally {
    /// Plays until all messages are back: how long each took there and back, in nanoseconds.
    ///
    /// # Errors
    /// A message that came back changed, a connection that ended early, a server that went silent.
    pub fn run(self) -> Result<Vec<u64>, Fault> {
        let socket = self.stream.as_raw_fd();
        let mut trips_ns = Vec::with_capacity(self.messages);
        let mut began = Instant::now();
        for number in 0..self.messages as u64 {
            let mut sent = [0; ECHO_BYTES];
            for (word, i) in sent.as_chunks_mut::<8>().0.iter_mut().zip(0..) {
                *word = (number ^ i).to_le_bytes();
            }
            let count = send_now(socket, &sent)?;
            if count != ECHO_BYTES {
                return Err(format!("an empty socket took {count} bytes of {ECHO_BYTES}").into());
            }
            let mut back = [0; ECHO_BYTES];
            let (mut filled, mut tries) = (0, 0_u32);
            while filled < ECHO_BYTES {
                match recv_now(socket, &mut back[filled..]) {
                    Ok(0) => return Err("the server closed a connection early".into()),
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        tries += 1;
                        if tries.is_multiple_of(TRIES_PER_LOOK) && began.elapsed() > PATIENCE {
                            return Err(format!("message {number} did not come back").into());
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if back != sent {
                return Err("the server sent back something else".into());
            }
            let now = Instant::now();
            trips_ns.push(nanoseconds(now - began));
            began = now;
        }
        Ok(trips_ns)
    }
}
