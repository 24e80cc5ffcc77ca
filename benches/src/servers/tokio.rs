//! tokio: one task per connection on the `current_thread` runtime, as `#[tokio::main]` sets it up.

use std::net::TcpStream as StdStream;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::ECHO_BUFFER;
use crate::Fault;
use crate::frames::{Frames, Tally};
use crate::tasks;
use crate::watch::Watch;

/// One task per connection: made by `serve`, all started before the first is awaited.
fn run<T, F>(streams: Vec<StdStream>, serve: impl Fn(TcpStream) -> F) -> Result<Vec<T>, Fault>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    tasks::tokio::runtime(tasks::tokio::Drivers::All)?.block_on(async {
        let mut running: Vec<JoinHandle<_>> = Vec::with_capacity(streams.len());
        for stream in streams {
            stream.set_nonblocking(true)?;
            running.push(tokio::spawn(serve(TcpStream::from_std(stream)?)));
        }
        let mut results = Vec::with_capacity(running.len());
        for task in running {
            results.push(task.await??);
        }
        Ok(results)
    })
}

pub(super) fn echo<W: Watch>(streams: Vec<StdStream>, watch: &Arc<W>) -> Result<(), Fault> {
    run(streams, |mut stream| {
        let watch = Arc::clone(watch);
        async move {
            let mut buffer = [0; ECHO_BUFFER];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                stream.write_all(&buffer[..count]).await?;
                watch.seen(count as u64);
            }
        }
    })
    .map(drop)
}

pub(super) fn feed<W: Watch>(streams: Vec<StdStream>, watch: &Arc<W>) -> Result<Tally, Fault> {
    let tallies = run(streams, |mut stream| {
        let watch = Arc::clone(watch);
        async move {
            let mut frames = Frames::default();
            loop {
                let count = stream.read(frames.space()).await?;
                if count == 0 {
                    return Ok(frames.tally());
                }
                let messages = frames.received(count, |payload| watch.message(payload))?;
                watch.seen(messages);
            }
        }
    })?;
    Ok(tallies.into_iter().sum())
}
