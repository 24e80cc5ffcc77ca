//! What a protocol in place needs of whatever brings its bytes: memory that fills, and a way back.
//!
//! [`Feed`](super::Feed) is one, and what decrypts over a feed is another, so that the protocol above does not know
//! which. Knows no protocol, and nothing of how bytes come.

use std::io;

/// Bytes that arrive in one contiguous piece of memory, to be read and changed where they lie, and a writer for the
/// way back.
///
/// What has been looked at and not [`consume`](Self::consume)d stays in front of what comes later, without a seam.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not bring its bytes in place, as a `Wire` does",
    label = "not a `flux::net::Wire`",
    note = "a `flux::net::TcpStream` becomes one by `stream.into_feed()?`"
)]
pub trait Wire: io::Write {
    /// Waits until more bytes have arrived than are unread now, and says how many are unread then.
    ///
    /// The same number as before means that the other side has finished: no more will come.
    ///
    /// # Suspends
    /// Until bytes arrive, or the other side finishes.
    ///
    /// # Errors
    /// What the transport brings; [`StorageFull`](io::ErrorKind::StorageFull) when all memory is unread: never while that
    /// is less than [`capacity`](Self::capacity). No error loses a byte that had arrived.
    fn fill(&mut self) -> io::Result<usize>;

    /// The bytes that have arrived by the last [`fill`](Self::fill) and were not consumed.
    fn unread(&self) -> &[u8];

    /// The same, to be changed in place: unmasked, decrypted, moved together.
    fn unread_mut(&mut self) -> &mut [u8];

    /// Gives back the memory of the first `count` unread bytes.
    ///
    /// # Panics
    /// When fewer are unread.
    fn consume(&mut self, count: usize);

    /// How many bytes can be unread before [`fill`](Self::fill) refuses to wait for more; what it brings then may be more
    /// than this. It stays the same.
    fn capacity(&self) -> usize;
}
