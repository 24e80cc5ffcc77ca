//! A connection over TLS, as a wire: records are opened where the wire below received them.
//!
//! ```text
//! unread of the wire below   │ plaintext │ gap │ record │ record │ a record's beginning ..
//!                            0           │     next
//!                                      plain
//! ```
//!
//! What is unread is at the front of what is unread below. A record is opened in place; then the shorter of the two is
//! moved so that they touch: what is left over to the right, and its old place given back below; or the record's
//! content to the left while it is decrypted, which leaves a gap behind it.
//!
//! **Invariant:** `plain <= next`, and `next` is 0 while nothing is unread (but after a panic of the wire below, until
//! the next record).
//!
//! One record is opened for each [`fill`](Wire::fill), and not all that have come: a message is with its handler
//! before the next is looked at, its bytes are still in the nearest cache then, and as a rule nothing is left over
//! when the next is opened, so that nothing moves at all.
//!
//! Knows the order of things, and leaves records, messages and keys to their files.

use std::io::{self, IoSlice, Read, Write};

use super::fault::Fault;
use super::handshake::Shaken;
use super::keys::{self, Secrets};
use super::post::Messages;
use super::record::{self, Key, kind};
use super::send::{self, Sender};
use super::{Error, Version};
use crate::net::Wire;

/// Whether more may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    /// The peer has said that no more will come.
    Ended,
    Broken(Fault),
}

/// A connection over TLS, made by [`Connector::connect`](super::Connector::connect): a [`Wire`] over a wire.
///
/// As a [`Wire`] it brings plaintext in one contiguous piece, in the memory of the wire below; each
/// [`fill`](Wire::fill) opens one record. It is a writer too: what one `write` takes is one record of at most 16 KiB,
/// and leaves by one `write` of the wire below, so that whole messages are best written at once (`write_vectored`
/// gathers into one record). [`Read`] copies out of it, for libraries that want that.
///
/// Reading and writing allocate nothing. What does is rare, and never data: a session ticket (usually one or two right
/// after the handshake), and a handshake message that is cut into several records.
///
/// # Errors
/// All calls return an [`io::Error`] of the wire below as it is, or one that holds a [`tls::Error`](Error). A call that
/// the deadline or a cancel ended may be repeated, nothing is lost or sent twice; but where a write was ended with its
/// record half gone (the peer reads slowly, and the socket is full), nothing can be written any more, and the next call
/// says [`Fault::PartialWrite`]. After any other failure the peer is told by an alert where the RFC says so, and every
/// later call says the same again.
///
/// # Dropping
/// A stream that was not [`close`](Self::close)d says `close_notify` when it is dropped, if that leaves within a
/// millisecond; not in a fiber that was cancelled, or whose deadline has passed, nor where nothing may suspend
/// ([`no_suspend`](crate::no_suspend), and callbacks): there it takes a [`close`](Self::close).
///
/// # Example
/// ```no_run
/// use flux::net::Wire;
///
/// /// Hands each line to `line`, where it lies.
/// fn lines<W: Wire>(
///     stream: &mut flux::tls::Stream<W>,
///     mut line: impl FnMut(&[u8]),
/// ) -> std::io::Result<()> {
///     let mut seen = 0;
///     loop {
///         while let Some(end) = stream.unread().iter().position(|byte| *byte == b'\n') {
///             line(&stream.unread()[..end]);
///             stream.consume(end + 1);
///             seen = 0;
///         }
///         match stream.fill()? {
///             count if count == seen => return Ok(()), // the other side has finished
///             count => seen = count,
///         }
///     }
/// }
/// ```
pub struct Stream<W: Wire> {
    pub(super) wire: W,
    /// The unread plaintext, at the front of the wire.
    plain: usize,
    /// Where the first record begins that was not opened.
    next: usize,
    /// All else, apart: so that a stream over a feed fits a fiber's control block, and can be handed to one.
    pub(super) session: Box<Session>,
}

/// What does not change with each record.
pub(super) struct Session {
    pub(super) receiving: Key,
    pub(super) reading: Reading,
    /// How many records in a row brought no data.
    pub(super) without_data: u32,
    pub(super) sender: Sender,
    pub(super) messages: Messages,
    pub(super) secrets: Secrets,
    pub(super) version: Version,
    pub(super) alpn: Option<Box<[u8]>>,
    pub(super) resumed: bool,
}

impl<W: Wire> Stream<W> {
    /// `out` is what records are sealed into; `records_max` lowers the suite's own limit.
    pub(super) fn new(
        wire: W,
        shaken: Shaken,
        out: Box<[u8]>,
        records_max: u64,
    ) -> Result<Self, Error> {
        let secrets = Secrets::new(shaken.kernel);
        let version = secrets.version();
        let (sequence, receiving) = shaken.secrets.rx;
        let receiving = keys::key(sequence, &receiving, version)?;
        let (sequence, sending) = shaken.secrets.tx;
        let sending = keys::key(sequence, &sending, version)?;
        let records_max = secrets.records_max().min(records_max);
        Ok(Self {
            wire,
            plain: 0,
            next: 0,
            session: Box::new(Session {
                receiving,
                reading: Reading::Open,
                without_data: 0,
                sender: Sender::new(sending, out, records_max),
                messages: Messages::default(),
                secrets,
                version,
                alpn: shaken.alpn,
                resumed: shaken.resumed,
            }),
        })
    }

    /// The version of TLS that was agreed on.
    pub fn version(&self) -> Version {
        self.session.version
    }

    /// The name of the cipher suite that was agreed on, as rustls writes it: `TLS13_AES_128_GCM_SHA256`, for one.
    pub fn cipher_suite(&self) -> &'static str {
        self.session
            .secrets
            .suite()
            .suite()
            .as_str()
            .unwrap_or("unknown")
    }

    /// The protocol that was agreed on by ALPN, if any was.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn.as_deref()
    }

    /// Whether an earlier connection's ticket was taken, which spares the server's certificate.
    pub fn is_resumed(&self) -> bool {
        self.session.resumed
    }

    /// The wire below, for its settings.
    pub fn get_ref(&self) -> &W {
        &self.wire
    }

    /// The wire below, for its settings. Whoever reads from it, or writes to it, breaks the stream.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Says `close_notify`: the peer knows then that it has all. What it still sends can be read.
    ///
    /// Closing again does nothing.
    ///
    /// # Suspends
    /// While the wire below takes nothing.
    ///
    /// # Errors
    /// What the wire says, or the [`Fault`] that broke the stream before.
    pub fn close(&mut self) -> io::Result<()> {
        self.session.sender.close(&mut self.wire)
    }

    /// The bytes of records between what is unread and the next record.
    fn gap(&self) -> usize {
        self.next - self.plain
    }

    /// Opens the next record, of `total` bytes, and says whether it brought data.
    #[inline]
    fn open(&mut self, total: usize) -> Result<bool, Fault> {
        let (plain, gap) = (self.plain, self.gap());
        let end = self.next + total;
        // Data alone moves, and the rest is read where it is.
        let to_front = plain > self.session.receiving.content_max(total);
        let memory = &mut self.wire.unread_mut()[..end];
        let opened = self
            .session
            .receiving
            .open(&mut memory[plain..], gap, to_front)?;
        if opened.kind != kind::APPLICATION_DATA
            || opened.len == 0
            || self.session.messages.is_begun()
        {
            let start = plain + opened.start;
            // Before: should the wire panic over an answer, the record is not looked at again, under another key.
            self.next = end;
            self.control(opened.kind, start, start + opened.len)?;
            self.skip(end);
            return Ok(false);
        }
        self.session.without_data = 0;
        self.plain = plain + opened.len;
        self.next = end;
        if !to_front {
            memory.copy_within(..plain, opened.start);
            self.wire.consume(opened.start);
            self.next -= opened.start;
        }
        Ok(true)
    }

    /// The records up to `end` are done with.
    fn skip(&mut self, end: usize) {
        if self.plain == 0 {
            self.wire.consume(end);
            self.next = 0;
        } else {
            self.next = end;
        }
    }

    /// Waits for more of the next record, of which `total` bytes are needed.
    fn receive(&mut self, total: usize) -> io::Result<()> {
        if self.next + total > self.wire.capacity() {
            self.close_gap();
        }
        let before = self.wire.unread().len();
        match self.wire.fill() {
            Ok(count) if count > before => Ok(()),
            Ok(_) => {
                let partial = before - self.next;
                Err(self.fail(Fault::Truncated { partial }))
            }
            Err(error) if send::passes(&error) => Err(error),
            Err(error) => {
                self.fail(send::transport(&error));
                Err(error)
            }
        }
    }

    /// Gives back the gap, for which all that is unread moves to the right.
    #[cold]
    fn close_gap(&mut self) {
        let gap = self.gap();
        self.wire.unread_mut().copy_within(..self.plain, gap);
        self.wire.consume(gap);
        self.next -= gap;
    }

    #[inline]
    fn prepare_write(&mut self) -> io::Result<()> {
        self.session.sender.may_write()?;
        if self.session.sender.needs_key() {
            self.prepare_key()?;
        }
        Ok(())
    }
}

impl<W: Wire> Wire for Stream<W> {
    /// Waits until a record has brought more plaintext, and says how much is unread then; the same number as before
    /// once the peer has said `close_notify`.
    ///
    /// Opens one record. Records that bring no data are answered on the way.
    ///
    /// # Suspends
    /// Until a whole record has come; for a millisecond at the most to answer one.
    ///
    /// # Errors
    /// - `TimedOut`, `ECANCELED` (raw), and what else the wire below says: nothing is lost, calling again is safe.
    /// - [`StorageFull`](io::ErrorKind::StorageFull): [`capacity`](Self::capacity) bytes are unread.
    /// - [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the connection ended without `close_notify`.
    /// - Others: a [`Fault`], which stays.
    #[inline]
    fn fill(&mut self) -> io::Result<usize> {
        loop {
            match self.session.reading {
                Reading::Open => {}
                Reading::Ended => return Ok(self.plain),
                Reading::Broken(fault) => return Err(fault.into()),
            }
            if self.plain >= self.capacity() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let arrived = &self.wire.unread()[self.next..];
            match self.session.receiving.measure(arrived) {
                Ok(Some(total)) if total <= arrived.len() => match self.open(total) {
                    Ok(true) => return Ok(self.plain),
                    Ok(false) => {}
                    Err(fault) => return Err(self.fail(fault)),
                },
                Ok(total) => self.receive(total.unwrap_or(record::HEADER))?,
                Err(fault) => return Err(self.fail(fault)),
            }
        }
    }

    #[inline]
    fn unread(&self) -> &[u8] {
        &self.wire.unread()[..self.plain]
    }

    #[inline]
    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.wire.unread_mut()[..self.plain]
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        assert!(
            count <= self.plain,
            "cannot consume {count} bytes: {} are unread",
            self.plain
        );
        self.plain -= count;
        if self.plain == 0 {
            self.wire.consume(self.next);
            self.next = 0;
        } else {
            self.wire.consume(count);
            self.next -= count;
        }
    }

    /// That of the wire below, less the longest record: while fewer bytes are unread, the next record can come. It
    /// may bring up to 16 KiB more than this.
    #[inline]
    fn capacity(&self) -> usize {
        self.wire.capacity() - record::RECORD_MAX
    }
}

impl<W: Wire> Write for Stream<W> {
    /// Sends the bytes, at most 16 KiB of them, as one record.
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.prepare_write()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        self.session.sender.data(&mut self.wire, bytes)
    }

    /// Sends the parts in their order, at most 16 KiB of them, as one record.
    #[inline]
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.prepare_write()?;
        if parts.iter().all(|part| part.is_empty()) {
            return Ok(0);
        }
        self.session.sender.data_parts(&mut self.wire, parts)
    }

    /// Flushes the wire below: nothing is held back here.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

impl<W: Wire> Read for Stream<W> {
    /// Copies what is unread, waiting for it as [`fill`](Wire::fill) does; 0 once the peer has said `close_notify`.
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.plain == 0 && self.fill()? == 0 {
            return Ok(0);
        }
        let count = buffer.len().min(self.plain);
        buffer[..count].copy_from_slice(&self.unread()[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<W: Wire> Drop for Stream<W> {
    fn drop(&mut self) {
        self.session.sender.close_at_once(&mut self.wire);
    }
}

impl<W: Wire> std::fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("version", &self.session.version)
            .field("cipher_suite", &self.cipher_suite())
            .field("reading", &self.session.reading)
            .field("unread", &self.plain)
            .finish_non_exhaustive()
    }
}
