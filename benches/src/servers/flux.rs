//! flux: one fiber per connection, plain `Read` and `Write`.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::Arc;

use flux::net::TcpStream;
use flux::{Builder, Config, Core, EventEngine, Idle, StackClass};

use super::ECHO_BUFFER;
use crate::Fault;
use crate::frames::{Frames, Tally};
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
    streams: Vec<StdStream>,
    setup: Setup,
    serve: impl Fn(TcpStream) -> Result<T, Fault> + Clone + 'static,
) -> Result<Vec<T>, Fault> {
    let count = streams.len();
    Config::new()
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
    run(streams, setup, move |mut stream| {
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
    let tallies = run(streams, setup, move |mut stream| {
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
