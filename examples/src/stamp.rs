//! A stream that remembers when bytes last arrived.
//!
//! A WebSocket library hands out messages, not the moment at which their bytes came. This adapter
//! stands between socket and library, and asks a clock after every read that brought something. All
//! messages of one read share its stamp, so the time that the later ones wait for the earlier ones
//! is counted: latency without coordinated omission.
//!
//! Knows nothing of sockets or clocks: both are given.

use std::io::{self, Read, Write};

/// A stream and the time of its last bytes.
#[derive(Debug)]
pub struct Stamped<S, I> {
    stream: S,
    clock: fn() -> I,
    arrived: I,
}

impl<S, I: Copy> Stamped<S, I> {
    /// Wraps a stream; until something is read, the bytes arrived now.
    pub fn new(stream: S, clock: fn() -> I) -> Self {
        Self {
            stream,
            clock,
            arrived: clock(),
        }
    }

    /// When a read last brought bytes.
    pub fn arrived(&self) -> I {
        self.arrived
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Read, I> Read for Stamped<S, I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        if count > 0 {
            self.arrived = (self.clock)();
        }
        Ok(count)
    }
}

impl<S: Write, I> Write for Stamped<S, I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static TICKS: Cell<u32> = const { Cell::new(0) });

    fn tick() -> u32 {
        TICKS.with(|ticks| ticks.replace(ticks.get() + 1))
    }

    #[test]
    fn only_reads_that_bring_bytes_are_stamped() {
        let mut stream = Stamped::new(&b"ab"[..], tick);
        assert_eq!(stream.arrived(), 0);
        let mut one = [0];
        assert_eq!(
            (stream.read(&mut one).expect("memory"), stream.arrived()),
            (1, 1)
        );
        assert_eq!(
            (stream.read(&mut one).expect("memory"), stream.arrived()),
            (1, 2)
        );
        assert_eq!(
            (stream.read(&mut one).expect("memory"), stream.arrived()),
            (0, 2)
        );
        assert_eq!(stream.get_ref().len(), 0);
    }
}
