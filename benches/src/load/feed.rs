//! A feed that only sends: at a pace, or as fast as it can.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::frames::{MESSAGE_MAX, Tally, Writer};
use crate::watch::nanoseconds;

/// How fast a feed sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many messages a second over all connections, evenly spaced, each with a send of its own.
    PerSecond(u64),
    /// As fast as the kernel takes it, so many messages with one send.
    FlatOut(usize),
}

/// Connections to a feed's receiver, and what to send.
#[derive(Debug)]
pub struct FeedLoad {
    /// The client ends: message `i` goes out on connection `i` modulo their number.
    pub streams: Vec<TcpStream>,
    /// How many messages, over all connections.
    pub messages: u64,
    /// How fast.
    pub pace: Pace,
    /// From when on stamps count, if messages are to have them: taken right before a message is written and sent.
    pub stamps: Option<Instant>,
}

impl FeedLoad {
    /// Sends everything, closes the connections, and returns what the receiver must have found.
    ///
    /// # Errors
    /// A connection that ended early, or one that took nothing for long.
    pub fn run(mut self) -> Result<Tally, Fault> {
        let mut writer = Writer::default();
        let (interval, per_send) = match self.pace {
            Pace::PerSecond(rate) => (Duration::from_secs(1) / u32::try_from(rate)?, 1),
            Pace::FlatOut(per_send) => (Duration::ZERO, per_send),
        };
        let mut buffer = vec![0; per_send * MESSAGE_MAX];
        let mut due = Instant::now();
        for turn in 0.. {
            let left = self.messages - writer.tally().messages;
            if left == 0 {
                break;
            }
            if !interval.is_zero() {
                due += interval;
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
            }
            let mut length = 0;
            for _ in 0..left.min(per_send as u64) {
                let space = &mut buffer[length..];
                length += match self.stamps {
                    Some(since) => writer.write_stamped(nanoseconds(since.elapsed()), space),
                    None => writer.write(space),
                };
            }
            let connection = turn % self.streams.len();
            self.streams[connection].write_all(&buffer[..length])?;
        }
        Ok(writer.tally())
    }
}
