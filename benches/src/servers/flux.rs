//! flux: one fiber per connection, plain `Read` and `Write`.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::Arc;

use flux::net::TcpStream;
use flux::{Builder, Config, Core, EventEngine, Idle, StackClass};

use super::ECHO_BUFFER;
use crate::Fault;
use crate::frames::{self, Frames, Tally};
use crate::raw_uring::Wait;
use crate::tasks::flux::join;
use crate::watch::Watch;

/// How flux waits for its sockets.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    engine: EventEngine,
    idle: Idle,
    /// Whether the core asks the sockets itself while it spins.
    hot: bool,
}

impl Setup {
    pub(super) const HOT: Self = Self {
        engine: EventEngine::IoUring,
        idle: Idle::Spin,
        hot: true,
    };
    pub(super) const EPOLL: Self = Self {
        engine: EventEngine::Epoll,
        idle: Idle::Block,
        hot: false,
    };

    pub(super) fn uring(wait: Wait) -> Self {
        Self {
            engine: EventEngine::IoUring,
            idle: match wait {
                Wait::Block => Idle::Block,
                Wait::Spin => Idle::Spin,
            },
            hot: false,
        }
    }
}

/// One fiber per connection, all started before the first is joined.
fn run<T: 'static>(
    config: Config,
    streams: Vec<StdStream>,
    setup: Setup,
    serve: impl Fn(TcpStream) -> Result<T, Fault> + Clone + 'static,
) -> Result<Vec<T>, Fault> {
    let count = streams.len();
    config
        .engine(setup.engine)
        // The harness has pinned this thread.
        .core(Core::None)
        .idle(setup.idle)
        .stacks(StackClass::Small, count)
        .run(move || {
            let mut running = Vec::with_capacity(count);
            for stream in streams {
                let stream = TcpStream::from_std(stream)?;
                stream.set_hot(setup.hot);
                let serve = serve.clone();
                let fiber = Builder::new().name("serve").stack(StackClass::Small);
                running.push(fiber.spawn(move || serve(stream)));
            }
            let mut results = Vec::with_capacity(count);
            for fiber in running {
                results.push(join(fiber)??);
            }
            Ok(results)
        })?
}

pub(super) fn echo<W: Watch>(
    streams: Vec<StdStream>,
    watch: &Arc<W>,
    setup: Setup,
) -> Result<(), Fault> {
    let watch = Arc::clone(watch);
    run(Config::new(), streams, setup, move |mut stream| {
        let mut buffer = [0; ECHO_BUFFER];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count])?;
            watch.seen(count as u64);
        }
    })
    .map(drop)
}

pub(super) fn feed<W: Watch>(
    streams: Vec<StdStream>,
    watch: &Arc<W>,
    setup: Setup,
) -> Result<Tally, Fault> {
    let watch = Arc::clone(watch);
    let tallies = run(Config::new(), streams, setup, move |mut stream| {
        let mut frames = Frames::default();
        loop {
            let count = stream.read(frames.space())?;
            if count == 0 {
                return Ok(frames.tally());
            }
            let messages = frames.received(count, |payload| watch.message(payload))?;
            watch.seen(messages);
        }
    })?;
    Ok(tallies.into_iter().sum())
}

/// The same without a copy: what comes is summed where it lands.
pub(super) fn feed_in_place<W: Watch>(
    streams: Vec<StdStream>,
    watch: &Arc<W>,
    setup: Setup,
) -> Result<Tally, Fault> {
    let watch = Arc::clone(watch);
    let config = Config::new().feeds(streams.len());
    let tallies = run(config, streams, setup, move |stream| {
        let mut feed = stream.into_feed()?;
        let mut tally = Tally::default();
        loop {
            let before = feed.unread().len();
            if feed.fill()? == before {
                return Ok(tally);
            }
            let known = tally.messages;
            let taken = frames::take(feed.unread(), &mut tally, |payload| watch.message(payload))?;
            feed.consume(taken);
            watch.seen(tally.messages - known);
        }
    })?;
    Ok(tallies.into_iter().sum())
}
