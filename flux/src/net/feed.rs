//! A stream that is received into memory of the reactor's own, and read there.
//!
//! Owns the account of what was shown to the reader. Where bytes land is [`landing`](crate::landing)'s business, and
//! how they come the reactor's and the engine's.

#![allow(
    unsafe_code,
    reason = "shows memory that the kernel fills, as far as it has"
)]

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use crate::feeds::Feeds;
use crate::landing::{End, Landing};
use crate::net::io::{self as socket_io, Kind, with};
use crate::net::stream::TcpStream;
use crate::net::wire::Wire;
use crate::reactor::{Reactor, current};

/// A TCP stream whose bytes are read where they arrive: nothing is copied, and nothing is split.
///
/// Its memory is a ring that is mapped twice in a row, so that what has arrived and was not consumed is always one
/// slice, wherever the ring ends. On `io_uring` of Linux 6.12 or later the kernel goes on receiving by itself while
/// the fiber works; elsewhere each [`fill`](Self::fill) that finds nothing new is one receive into the same memory.
/// [`stats`](crate::stats) tells which it is.
///
/// A reader that does not keep up stops its own feed alone: when the memory is full nothing more is received, and
/// the other side's sends wait, as TCP has it. It goes on once an eighth of the memory was consumed.
///
/// A feed that is dropped closes its connection, and gives its place to another, with the next turn of the loop: the
/// kernel is asked to end what it has in flight first.
///
/// A feed can be handed to another fiber, while nothing is borrowed from it, and to no thread.
///
/// How many feeds there can be, and how much each holds, is set by [`Config::feeds`](crate::Config::feeds) and
/// [`Config::feed_buffer`](crate::Config::feed_buffer).
///
/// Time-outs, and whether the core itself asks the socket ([`set_hot`](TcpStream::set_hot)), are taken over from the
/// stream; being hot is for a core that spins, and means one receive for each `fill`. What else reads from a clone of
/// the stream takes bytes away from the feed.
///
/// # Example
/// ```
/// use flux::net::{TcpListener, TcpStream};
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// flux::Config::new().run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = flux::spawn(move || -> std::io::Result<()> {
///         let (mut stream, _) = listener.accept()?;
///         stream.write_all(b"61659.70\n61659.80\n616")
///     });
///     let mut feed = TcpStream::connect(address)?.into_feed()?;
///     let mut lines = 0;
///     loop {
///         // Whole lines, where they lie.
///         while let Some(end) = feed.unread().iter().position(|byte| *byte == b'\n') {
///             assert_eq!(&feed.unread()[..5], b"61659");
///             feed.consume(end + 1);
///             lines += 1;
///         }
///         // The same number of bytes as before: the other side has finished.
///         let before = feed.unread().len();
///         if feed.fill()? == before {
///             break;
///         }
///     }
///     assert_eq!((lines, feed.unread()), (2, &b"616"[..]));
///     server.join()?
/// })??;
/// # Ok(())
/// # }
/// ```
pub struct Feed {
    /// There until it is dropped, which hands it on.
    stream: Option<TcpStream>,
    /// Keeps the memory, also should this outlive the reactor.
    feeds: Rc<Feeds>,
    slot: u32,
    by_kernel: bool,
    /// The memory, its length, and where in it the unread bytes begin that were shown, and how many there are.
    memory: NonNull<u8>,
    len: usize,
    start: usize,
    shown: usize,
    /// How many bytes had arrived when they were shown.
    seen: u64,
}

impl TcpStream {
    /// Receives this stream into memory of the reactor's own, to be read there: see [`Feed`].
    ///
    /// # Errors
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) when all feeds are in use, with the setting that raises their
    /// number; [`Unsupported`](io::ErrorKind::Unsupported) outside of a fiber; what the system says when it has no
    /// memory left. The stream is closed then.
    pub fn into_feed(self) -> io::Result<Feed> {
        let hot = self.hot();
        with(|reactor| {
            let (slot, by_kernel) = reactor.open_feed(!hot)?;
            let landing = reactor.feeds.slot(slot).landing();
            Ok(Feed {
                stream: Some(self),
                feeds: Rc::clone(&reactor.feeds),
                slot,
                by_kernel,
                memory: landing.memory(),
                len: landing.len(),
                start: 0,
                shown: 0,
                seen: 0,
            })
        })
    }
}

impl Feed {
    /// Waits until more bytes have arrived than are unread now, and says how many are unread then.
    ///
    /// The same number as before means that the other side has finished: no more will come.
    ///
    /// # Suspends
    /// Until bytes arrive, or the other side finishes.
    ///
    /// # Errors
    /// No error loses a byte that had arrived, and what is unread stays so.
    /// - [`StorageFull`](io::ErrorKind::StorageFull): all memory is unread, at least
    ///   [`capacity`](Self::capacity) bytes; [`consume`](Self::consume) some first, or raise
    ///   [`feed_buffer`](crate::Config::feed_buffer); the sentence that says so is allocated;
    /// - [`TimedOut`](io::ErrorKind::TimedOut) and `ECANCELED` (raw): as for every socket; calling again is safe;
    /// - `Unsupported`: outside of a fiber, or of the reactor that it was made in;
    /// - what the network brings, `ConnectionReset` for example, each time from then on.
    #[inline]
    #[track_caller]
    pub fn fill(&mut self) -> io::Result<usize> {
        with(|reactor| {
            if !reactor.has_feed_of(&self.feeds) {
                return Err(current::elsewhere_error());
            }
            if self.by_kernel {
                self.await_more(reactor)
            } else {
                self.receive_more(reactor)
            }
        })
    }

    /// Shows what the kernel has received, once there is something new.
    #[inline]
    #[track_caller]
    fn await_more(&mut self, reactor: &Reactor) -> io::Result<usize> {
        let timeout = self.stream().read_timeout_now();
        let fd = self.stream().as_raw_fd();
        reactor
            .wait_for_feed(self.slot, fd, self.seen, timeout)
            .map_err(|error| self.named(error))?;
        let landing = self.landing();
        if landing.arrived() == self.seen
            && let End::Failed(code) = landing.end()
        {
            return Err(io::Error::from_raw_os_error(code));
        }
        self.show(reactor.feeds.slot(self.slot).landing());
        Ok(self.shown)
    }

    /// Receives once, into the memory behind what is unread.
    #[track_caller]
    fn receive_more(&mut self, reactor: &Reactor) -> io::Result<usize> {
        let landing = reactor.feeds.slot(self.slot).landing();
        match landing.end() {
            End::Open => {}
            End::Finished => return Ok(self.shown),
            End::Failed(code) => return Err(io::Error::from_raw_os_error(code)),
        }
        let (start, len) = landing.room();
        if len == 0 {
            return Err(self.named(io::ErrorKind::StorageFull.into()));
        }
        // SAFETY: memory of this feed's own, behind what is unread and up to where that begins, good over its end by
        // the second mapping; nobody else refers to it, since what is shown borrows this value.
        let room = unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) };
        let kind = if self.stream().hot() {
            Kind::HotStream
        } else {
            Kind::Stream
        };
        let timeout = self.stream().read_timeout_now();
        let received = socket_io::receive(self.stream().as_fd(), kind, room, false, timeout);
        match received {
            Ok(0) => landing.set_end(End::Finished),
            Ok(count) => landing.received(count),
            Err(error) => {
                let passing = [
                    io::ErrorKind::TimedOut,
                    io::ErrorKind::Unsupported,
                    io::ErrorKind::Interrupted,
                ];
                if let Some(code) = error.raw_os_error()
                    && code != crate::sys::errno::ECANCELED
                    && !passing.contains(&error.kind())
                {
                    landing.set_end(End::Failed(code));
                }
                return Err(error);
            }
        }
        self.show(landing);
        Ok(self.shown)
    }

    #[inline]
    fn show(&mut self, landing: &Landing) {
        self.seen = landing.arrived();
        self.shown = landing.unread();
    }

    #[inline]
    fn landing(&self) -> &Landing {
        self.feeds.slot(self.slot).landing()
    }

    /// An error with the words that belong to it.
    #[cold]
    fn named(&self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::StorageFull {
            return error;
        }
        io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "{} of the {} bytes of this feed are unread: consume some, or raise `feed_buffer` in \
                 `#[flux::main]` (or `FLUX_FEED_BUFFER`)",
                self.shown, self.len
            ),
        )
    }

    /// The bytes that have arrived by the last [`fill`](Self::fill) and were not consumed, in one piece.
    #[inline]
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        // SAFETY: arrived, and not given back, so that the kernel does not write there; good over the end of the
        // memory by the second mapping; kept by `feeds`. Whoever changes it borrows this value alone.
        unsafe { slice::from_raw_parts(self.first().as_ptr(), self.shown) }
    }

    /// The same bytes, to be changed in place: unmasked or decrypted.
    #[inline]
    #[must_use]
    pub fn unread_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `unread`; this value is borrowed alone. No two of the bytes are one and the same, since they
        // are at most as many as the memory has.
        unsafe { slice::from_raw_parts_mut(self.first().as_ptr(), self.shown) }
    }

    #[inline]
    fn first(&self) -> NonNull<u8> {
        // SAFETY: below the length of the memory, as `consume` keeps it.
        unsafe { self.memory.add(self.start) }
    }

    /// Gives back the memory of the first `count` unread bytes.
    ///
    /// # Panics
    /// When fewer are unread.
    #[inline]
    #[track_caller]
    pub fn consume(&mut self, count: usize) {
        assert!(
            count <= self.shown,
            "cannot consume {count} bytes: {} are unread",
            self.shown
        );
        self.shown -= count;
        self.start += count;
        if self.start >= self.len {
            self.start -= self.len;
        }
        self.landing().give_back(count);
    }

    /// How many bytes can be unread, at the least, before [`fill`](Self::fill) refuses: a message that is looked at
    /// as a whole must not be longer.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.len - self.landing().part_len()
    }

    /// The stream, to write to, or to ask.
    ///
    /// # Panics
    /// Never: there is a stream for as long as there is a feed.
    #[inline]
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        let stream = self.stream.as_ref();
        stream.expect("a feed's stream goes with the feed")
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        // Where there is no reactor, or another one, its own has ended and has seen to the kernel.
        let _told = current::try_with(|reactor| {
            if reactor.has_feed_of(&self.feeds) {
                reactor.close_feed(self.slot, self.by_kernel, stream.into());
            }
        });
    }
}

impl Wire for Feed {
    #[inline]
    #[track_caller]
    fn fill(&mut self) -> io::Result<usize> {
        Self::fill(self)
    }

    #[inline]
    fn unread(&self) -> &[u8] {
        Self::unread(self)
    }

    #[inline]
    fn unread_mut(&mut self) -> &mut [u8] {
        Self::unread_mut(self)
    }

    #[inline]
    #[track_caller]
    fn consume(&mut self, count: usize) {
        Self::consume(self, count);
    }

    fn capacity(&self) -> usize {
        Self::capacity(self)
    }
}

impl BufRead for Feed {
    /// What is unread; waits for something if that is nothing.
    #[inline]
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.shown == 0 {
            self.fill()?;
        }
        Ok(self.unread())
    }

    #[inline]
    #[track_caller]
    fn consume(&mut self, count: usize) {
        Self::consume(self, count);
    }
}

/// Copies, for what wants a reader.
impl Read for Feed {
    #[inline]
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let unread = self.fill_buf()?;
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        Self::consume(self, count);
        Ok(count)
    }
}

/// Writes to the stream, as that does.
impl Write for Feed {
    #[inline]
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.stream();
        stream.write(bytes)
    }

    #[track_caller]
    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.stream();
        stream.write_vectored(parts)
    }

    /// Does nothing: nothing is held back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("stream", self.stream())
            .field("unread", &self.shown)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream().as_fd()
    }
}
