//! Which of some sockets can be read, without waiting.

use std::io;
use std::net::TcpStream;

use crate::epoll::{Epoll, Events, Until};

/// An epoll instance over sockets that are known by their index.
pub(super) struct Poll {
    epoll: Epoll,
    events: Events,
}

impl Poll {
    pub(super) fn new(streams: &[TcpStream]) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        for (stream, index) in streams.iter().zip(0..) {
            epoll.add(stream, libc::EPOLLIN, index)?;
        }
        Ok(Self {
            epoll,
            events: Events::default(),
        })
    }

    /// Calls `on` with the index of each socket that can be read now; returns how many these were.
    pub(super) fn ready(
        &mut self,
        mut on: impl FnMut(usize) -> Result<(), crate::Fault>,
    ) -> Result<usize, crate::Fault> {
        let events = self.epoll.wait(&mut self.events, Until::Now)?;
        let found = events.len();
        for (index, _) in events {
            on(usize::try_from(index)?)?;
        }
        Ok(found)
    }
}
