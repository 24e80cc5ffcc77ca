//! Every setting and limit of a WebSocket, named once.
//!
//! Owns the defaults and what is refused. Does not know how any of it is used.

use std::time::Duration;

use super::error::{Error, Misuse};
use super::frame::{CONTROL_MAX, HEADER_MAX};

/// The least memory of a wire that messages can be put together in.
pub(super) const CAPACITY_MIN: usize = 2048;
/// The smallest buffer to send from: any control frame is one write.
const SEND_BUFFER_MIN: usize = HEADER_MAX + CONTROL_MAX;

/// The settings of a WebSocket: what it takes from the other side, and what it keeps.
///
/// # Example
/// ```
/// use flux::ws::Config;
///
/// let config = Config::new().message_max(64 * 1024).send_buffer(4096);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(super) frame_max: usize,
    pub(super) message_max: usize,
    pub(super) fragments_max: u32,
    pub(super) send_buffer: usize,
    pub(super) head_max: usize,
    pub(super) headers_max: usize,
    pub(super) close_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            frame_max: 16 << 20,
            message_max: 16 << 20,
            fragments_max: 1 << 17,
            send_buffer: 16 << 10,
            head_max: 16 << 10,
            headers_max: 64,
            close_wait: Duration::from_secs(1),
        }
    }

    /// The longest payload of one frame that is taken, in bytes; 16 MiB. What the wire can hold bounds it too.
    pub const fn frame_max(mut self, bytes: usize) -> Self {
        self.frame_max = bytes;
        self
    }

    /// The longest message that is taken, in bytes; 16 MiB. What the wire can hold bounds it too: all of it for a
    /// message of one frame, seven eighths for one of several, since the rest is room for what stands between them.
    pub const fn message_max(mut self, bytes: usize) -> Self {
        self.message_max = bytes;
        self
    }

    /// The most frames that one message is taken in; 131 072. Frames may be empty, so that the length of a message
    /// does not bound their number.
    pub const fn fragments_max(mut self, count: u32) -> Self {
        self.fragments_max = count;
        self
    }

    /// The size of the one buffer that is sent from, in bytes, allocated with the connection; 16 KiB. A message that
    /// fits into it with its header, of up to 14 bytes, is one write; a longer one goes through it in pieces.
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// The longest head of a handshake that is taken, in bytes; 16 KiB.
    pub const fn head_max(mut self, bytes: usize) -> Self {
        self.head_max = bytes;
        self
    }

    /// The most headers in a handshake; 64.
    pub const fn headers_max(mut self, count: usize) -> Self {
        self.headers_max = count;
        self
    }

    /// How long closing may take; 1 s. It bounds how long the frame that says why is waited for to leave, and how long
    /// a client waits for the server to end the connection below once both have closed.
    pub const fn close_wait(mut self, longest: Duration) -> Self {
        self.close_wait = longest;
        self
    }

    /// Refuses what cannot work, over a wire of so much memory.
    pub(super) fn check(&self, capacity: usize) -> Result<(), Error> {
        for (name, value, min) in [
            ("ws::Config::send_buffer", self.send_buffer, SEND_BUFFER_MIN),
            ("Wire::capacity", capacity, CAPACITY_MIN),
        ] {
            if value < min {
                return Err(Error::Misuse(Misuse::Setting(name, value, min)));
            }
        }
        Ok(())
    }
}
