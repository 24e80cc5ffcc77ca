//! Ping-pong: one message of 64 bytes at a time on each connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::poll::Poll;
use crate::Fault;
use crate::sockets::PATIENCE;

/// The size of an echo message.
pub const ECHO_BYTES: usize = 64;
/// Empty polls between two looks at the clock.
const POLLS_PER_LOOK: u32 = 1 << 16;

/// Connections to an echo server, and how many messages to bounce off it over all of them together.
#[derive(Debug)]
pub struct EchoLoad {
    /// The client ends.
    pub streams: Vec<TcpStream>,
    /// How many messages, over all connections.
    pub messages: u64,
}

/// One connection: what is on its way, and how much of it has come back.
struct Ball {
    stream: TcpStream,
    sent: [u8; ECHO_BYTES],
    back: [u8; ECHO_BYTES],
    filled: usize,
}

impl Ball {
    fn serve(&mut self, number: u64) -> Result<(), Fault> {
        for (word, i) in self.sent.as_chunks_mut::<8>().0.iter_mut().zip(0..) {
            *word = (number ^ i).to_le_bytes();
        }
        self.filled = 0;
        // 64 bytes fit into an empty socket buffer: never short, never WouldBlock.
        Ok(self.stream.write_all(&self.sent)?)
    }

    /// Whether the whole message is back, and is what was sent.
    fn back(&mut self) -> Result<bool, Fault> {
        match self.stream.read(&mut self.back[self.filled..]) {
            Ok(0) => return Err("the server closed a connection early".into()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if self.filled < ECHO_BYTES {
            return Ok(false);
        }
        if self.back != self.sent {
            return Err("the server sent back something else".into());
        }
        Ok(true)
    }
}

impl EchoLoad {
    /// Plays until all messages are back. Every connection is in play up to the end.
    ///
    /// # Errors
    /// A message that came back changed, a connection that ended early, a server that went silent.
    pub fn run(self) -> Result<(), Fault> {
        let mut poll = Poll::new(&self.streams)?;
        let mut balls = Vec::with_capacity(self.streams.len());
        for stream in self.streams {
            stream.set_nonblocking(true)?;
            balls.push(Ball {
                stream,
                sent: [0; ECHO_BYTES],
                back: [0; ECHO_BYTES],
                filled: 0,
            });
        }
        let (mut sent, mut back) = (0, 0);
        for ball in &mut balls {
            if sent < self.messages {
                ball.serve(sent)?;
                sent += 1;
            }
        }
        let mut last_news = Instant::now();
        let mut empty = 0;
        while back < self.messages {
            let ready = poll.ready(|index| {
                let ball = &mut balls[index];
                if ball.back()? {
                    back += 1;
                    if sent < self.messages {
                        ball.serve(sent)?;
                        sent += 1;
                    }
                }
                Ok(())
            })?;
            if ready > 0 {
                empty = 0;
                continue;
            }
            empty += 1;
            if empty == 1 {
                last_news = Instant::now();
            } else if empty % POLLS_PER_LOOK == 0 && last_news.elapsed() > PATIENCE {
                return Err(format!(
                    "{back} of {} messages came back, then nothing for {} s",
                    self.messages,
                    PATIENCE.as_secs()
                )
                .into());
            }
        }
        Ok(())
    }
}
