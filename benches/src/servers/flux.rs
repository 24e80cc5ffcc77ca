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

/// One fiber per connection, all started before the first is joined.
fn run<T: 'static>(
    streams: Vec<StdStream>,
    engine: EventEngine,
    wait: Wait,
    serve: impl Fn(TcpStream) -> Result<T, Fault> + Clone + 'static,
) -> Result<Vec<T>, Fault> {
    let idle = match wait {
        Wait::Block => Idle::Block,
        Wait::Spin => Idle::Spin,
    };
    let count = streams.len();
    Config::new()
        .engine(engine)
        // The harness has pinned this thread.
        .core(Core::None)
        .idle(idle)
        .stacks(StackClass::Small, count)
        .run(move || {
            let mut running = Vec::with_capacity(count);
            for stream in streams {
                let stream = TcpStream::from_std(stream)?;
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
    engine: EventEngine,
    wait: Wait,
) -> Result<(), Fault> {
    let watch = Arc::clone(watch);
    run(streams, engine, wait, move |mut stream| {
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
    engine: EventEngine,
    wait: Wait,
) -> Result<Tally, Fault> {
    let watch = Arc::clone(watch);
    let tallies = run(streams, engine, wait, move |mut stream| {
        let mut frames = Frames::default();
        loop {
            let count = stream.read(frames.space())?;
            if count == 0 {
                return Ok(frames.tally());
            }
            watch.seen(frames.received(count)?);
        }
    })?;
    Ok(tallies.into_iter().sum())
}
