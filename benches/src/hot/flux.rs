//! flux: a fiber that reads a WebSocket where the kernel has put it, over a feed, or over TLS on a feed.

use std::net::TcpStream as StdStream;
use std::sync::Arc;

use flux::net::{TcpStream, Wire};
use flux::tls::{Connector, Roots};
use flux::ws::{self, Message, Request};
use flux::{Builder, Config, Core, EventEngine, Idle, StackClass};

use super::job::{Answer, Job};
use super::secure::{HOST, Secure};
use super::tape::Tape;
use crate::Fault;
use crate::raw_uring::Wait;
use crate::tasks::flux::join;
use crate::watch::Watch;

/// How flux waits for its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On a ring, which fills the feed by itself.
    Ring(Wait),
    /// Spinning, and asking the socket itself.
    Hot,
    /// On epoll.
    Epoll,
}

pub(super) fn receive<W: Watch>(
    way: Way,
    stream: StdStream,
    tape: &Arc<Tape>,
    watch: &Arc<W>,
    secure: Option<&Secure>,
) -> Result<Answer, Fault> {
    let connector = secure.map(|secure| Roots::from_pem(secure.certificate_pem.as_bytes()));
    let connector = connector.transpose()?.map(Connector::new);
    let (tape, watch) = (Arc::clone(tape), Arc::clone(watch));
    Config::new()
        .engine(match way {
            Way::Ring(_) | Way::Hot => EventEngine::IoUring,
            Way::Epoll => EventEngine::Epoll,
        })
        // The harness has pinned this thread.
        .core(Core::None)
        .idle(match way {
            Way::Ring(Wait::Spin) | Way::Hot => Idle::Spin,
            Way::Ring(Wait::Block) | Way::Epoll => Idle::Block,
        })
        .feeds(1)
        .run(move || {
            // A handshake over TLS wants more stack in a debug build than a small one has.
            let fiber = Builder::new().name("receive").stack(StackClass::Medium);
            join(fiber.spawn(move || {
                let stream = TcpStream::from_std(stream)?;
                stream.set_hot(way == Way::Hot);
                let feed = stream.into_feed()?;
                let mut job = Job::new(&tape);
                match connector {
                    None => read(feed, &mut job, &*watch)?,
                    Some(connector) => read(connector.connect(feed, HOST)?, &mut job, &*watch)?,
                }
                Ok(job.answer())
            }))?
        })?
}

fn read(wire: impl Wire, job: &mut Job<'_>, watch: &impl Watch) -> Result<(), Fault> {
    let mut socket = ws::connect(wire, Request::new(HOST, "/stream"))?;
    while !job.is_done() {
        match socket.read()? {
            Some(Message::Text(text)) => job.scan(text.as_bytes())?,
            other => return Err(format!("{other:?} came, which nobody sent").into()),
        }
        watch.seen(1);
    }
    Ok(())
}
