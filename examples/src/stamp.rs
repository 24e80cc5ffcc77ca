//! A stream that remembers when bytes last arrived.
//!
//! A WebSocket library hands out messages, not the moment at which their bytes came. This adapter
//! stands right above the socket, below all protocols, and asks a clock whenever a read or a fill
//! has brought something. All messages of one of those share its stamp, so the time that the later
//! ones wait for the earlier ones is counted: latency without coordinated omission.
//!
//! The stamp is kept in a [`Cell`] beside the stream, where it can be read while a message that lies
//! in the stream's memory is looked at.
//!
//! Knows nothing of sockets or clocks: both are given.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};

use flux::net::Wire;

/// A stream, and where to note the time of its last bytes.
#[derive(Debug)]
pub struct Stamped<'a, S, I: Copy> {
    stream: S,
    clock: fn() -> I,
    arrived: &'a Cell<I>,
}

impl<'a, S, I: Copy> Stamped<'a, S, I> {
    /// Wraps a stream; `arrived` is left as it is until something comes.
    pub fn new(stream: S, clock: fn() -> I, arrived: &'a Cell<I>) -> Self {
        Self {
            stream,
            clock,
            arrived,
        }
    }
}

impl<S: Read, I: Copy> Read for Stamped<'_, S, I> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        if count > 0 {
            self.arrived.set((self.clock)());
        }
        Ok(count)
    }
}

impl<S: Wire, I: Copy> Wire for Stamped<'_, S, I> {
    #[inline]
    fn fill(&mut self) -> io::Result<usize> {
        let before = self.stream.unread().len();
        let count = self.stream.fill()?;
        if count > before {
            self.arrived.set((self.clock)());
        }
        Ok(count)
    }

    #[inline]
    fn unread(&self) -> &[u8] {
        self.stream.unread()
    }

    #[inline]
    fn unread_mut(&mut self) -> &mut [u8] {
        self.stream.unread_mut()
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.stream.consume(count);
    }

    fn capacity(&self) -> usize {
        self.stream.capacity()
    }
}

impl<S: Write, I: Copy> Write for Stamped<'_, S, I> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    #[inline]
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local!(static TICKS: Cell<u32> = const { Cell::new(0) });

    fn tick() -> u32 {
        TICKS.set(TICKS.get() + 1);
        TICKS.get()
    }

    #[test]
    fn only_reads_that_bring_bytes_are_stamped() {
        let arrived = Cell::new(0);
        let mut stream = Stamped::new(&b"ab"[..], tick, &arrived);
        let mut one = [0];
        for expected in [(1, 1), (1, 2), (0, 2)] {
            let count = stream.read(&mut one).expect("memory");
            assert_eq!((count, arrived.get()), expected);
        }
    }

    /// A wire that brings a byte with each fill, until it has brought two.
    struct Bytewise(Vec<u8>, usize);

    impl Wire for Bytewise {
        fn fill(&mut self) -> io::Result<usize> {
            self.1 = (self.1 + 1).min(2);
            Ok(self.unread().len())
        }

        fn unread(&self) -> &[u8] {
            &self.0[..self.1]
        }

        fn unread_mut(&mut self) -> &mut [u8] {
            &mut self.0[..self.1]
        }

        fn consume(&mut self, count: usize) {
            self.0.drain(..count);
            self.1 -= count;
        }

        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl Write for Bytewise {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_fills_that_bring_bytes_are_stamped() {
        let arrived = Cell::new(0);
        let mut wire = Stamped::new(Bytewise(vec![7; 4], 0), tick, &arrived);
        for expected in [(1, 1), (2, 2), (2, 2)] {
            assert_eq!((wire.fill().expect("memory"), arrived.get()), expected);
        }
    }
}
