//! The memory of feeds that an engine fills by itself: `io_uring` alone does.
//!
//! Does not know what is in it, nor how it is lent.

use std::io;

use super::Engine;
use crate::landing::Landing;
use crate::tray::Tray;

impl Engine {
    /// Makes ready for so many feeds; whether the kernel fills them by itself, by requests that last.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(
            clippy::unnecessary_wraps,
            unused_variables,
            reason = "no engine there fills feeds"
        )
    )]
    pub(crate) fn take_feeds(&mut self, feeds: usize) -> io::Result<bool> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.take_feeds(feeds),
            _ => Ok(false),
        }
    }

    /// Lends the memory of a feed to the kernel, to be filled by a [`Stream`](crate::op::Request::Stream).
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` where it does not fill feeds by itself.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, reason = "no engine there fills feeds")
    )]
    pub(crate) fn open_feed(&mut self, landing: &Landing) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.open_feed(landing),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Lends the buffers of a feed to the kernel, to be filled by [`Datagrams`](crate::op::Request::Datagrams).
    ///
    /// # Errors
    /// As [`open_feed`](Self::open_feed).
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, reason = "no engine there fills feeds")
    )]
    pub(crate) fn open_packets(&mut self, landing: &Landing, tray: &Tray) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.open_packets(landing, tray),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Lends again the buffers of a feed that have come back.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, reason = "no engine there fills feeds")
    )]
    #[inline]
    pub(crate) fn lend_packets(&mut self, landing: &Landing, tray: &Tray) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.lend_packets(landing, tray),
            _ => {}
        }
    }

    /// Lends again what of a feed's memory has come back.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, reason = "no engine there fills feeds")
    )]
    #[inline]
    pub(crate) fn lend(&mut self, landing: &Landing) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.lend(landing),
            _ => {}
        }
    }

    /// Withdraws the memory of a feed that was opened, and whose request is not in flight. (Of one that has been
    /// closed while it was, the engine does so at its end.)
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, reason = "no engine there fills feeds")
    )]
    pub(crate) fn close_feed(&mut self, landing: &Landing) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.close_feed(landing),
            _ => {}
        }
    }
}
