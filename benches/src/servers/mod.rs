//! The servers under test: the same work written for each contender.
//!
//! All get connected std sockets, the same buffer sizes, the same parser and the same [`Watch`], and run on
//! the calling thread until every connection is closed.

mod flux;
mod tokio;

use std::net::TcpStream;
use std::sync::Arc;

use crate::Fault;
use crate::frames::Tally;
use crate::raw_uring::{self, Wait};
use crate::watch::Watch;

/// What an echo server receives into.
pub(crate) const ECHO_BUFFER: usize = 4096;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Callbacks on a ring: the limit.
    Raw(Wait),
    /// One fiber per connection, plain `read` and `write`.
    Flux(Wait),
    /// One task per connection on tokio's `current_thread` runtime.
    Tokio,
}

impl Server {
    /// The name in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw(Wait::Block) => "raw io_uring",
            Self::Raw(Wait::Spin) => "raw io_uring, spinning",
            Self::Flux(Wait::Block) => "flux",
            Self::Flux(Wait::Spin) => "flux, spinning",
            Self::Tokio => "tokio",
        }
    }

    /// Sends back whatever comes.
    ///
    /// # Errors
    /// What the contender's connections or its set-up fail with.
    pub fn echo<W: Watch>(self, streams: Vec<TcpStream>, watch: &Arc<W>) -> Result<(), Fault> {
        match self {
            Self::Raw(wait) => raw_uring::echo(streams, &**watch, wait),
            Self::Flux(wait) => flux::echo(streams, watch, wait),
            Self::Tokio => tokio::echo(streams, watch),
        }
    }

    /// Frames and sums whatever comes.
    ///
    /// # Errors
    /// What the contender's connections or its set-up fail with, or bytes that are no message.
    pub fn feed<W: Watch>(self, streams: Vec<TcpStream>, watch: &Arc<W>) -> Result<Tally, Fault> {
        match self {
            Self::Raw(wait) => raw_uring::feed(streams, &**watch, wait),
            Self::Flux(wait) => flux::feed(streams, watch, wait),
            Self::Tokio => tokio::feed(streams, watch),
        }
    }
}
