//! One run of one server under one load, its answers checked.

use std::sync::Arc;
use std::time::Instant;

use crate::Fault;
use crate::frames::Tally;
use crate::harness::Sample;
use crate::load::{self, ECHO_BYTES, EchoLoad, FeedLoad, Pace, Rally};
use crate::servers::Server;
use crate::sockets::pairs;
use crate::step::{Stepper, Work};
use crate::watch::{Ages, Meter};

/// Before the window opens, and after it has closed: one part in so many of the messages each.
const MARGIN: u64 = 10;

/// Bounces `messages` messages off an echo server over `connections` connections. The cost is of one message.
///
/// # Errors
/// What the server fails with, or what the load found wrong with its answers.
pub fn echo(server: Server, connections: usize, messages: u64) -> Result<Sample, Fault> {
    let ends = pairs(connections)?;
    let unit = ECHO_BYTES as u64;
    let margin = messages / MARGIN;
    let meter = Arc::new(Meter::new(margin * unit, (messages - margin) * unit));
    let driver = EchoLoad {
        streams: ends.client,
        messages,
    };
    let load = load::start(|| driver.run())?;
    let outcome = server.echo(ends.server, &meter);
    // The server's own fault first: the load sees only that it went silent.
    let played = load.finish();
    outcome?;
    played?;
    meter.sample(unit)
}

/// Sends `messages` messages to a server over `connections` connections. The cost is of one message.
///
/// # Errors
/// What the server fails with, or a count or sum that is not what was sent.
pub fn feed(
    server: Server,
    connections: usize,
    messages: u64,
    pace: Pace,
) -> Result<Sample, Fault> {
    let ends = pairs(connections)?;
    let margin = messages / MARGIN;
    let meter = Arc::new(Meter::new(margin, messages - margin));
    let driver = FeedLoad {
        streams: ends.client,
        messages,
        pace,
        stamps: None,
    };
    let load = load::start(|| driver.run())?;
    let found = server.feed(ends.server, &meter);
    let sent = load.finish();
    check(found?, sent?)?;
    meter.sample(1)
}

/// As [`feed`], paced: how old the messages are when their handler has them, the median and the 99th percentile.
///
/// # Errors
/// As [`feed`].
pub fn feed_latency(
    server: Server,
    connections: usize,
    messages: u64,
    per_second: u64,
) -> Result<[Sample; 2], Fault> {
    let ends = pairs(connections)?;
    let since = Instant::now();
    let ages = Arc::new(Ages::new(since, usize::try_from(messages)?));
    let driver = FeedLoad {
        streams: ends.client,
        messages,
        pace: Pace::PerSecond(per_second),
        stamps: Some(since),
    };
    let load = load::start(|| driver.run())?;
    let found = server.feed(ends.server, &ages);
    let sent = load.finish();
    check(found?, sent?)?;
    ages.samples(usize::try_from(messages / MARGIN)?)
}

/// Bounces messages off an echo server with one connection: how long they take there and back, as the client sees
/// it, the median and the 99th percentile.
///
/// # Errors
/// As [`echo`].
pub fn rally(server: Server, messages: usize) -> Result<[Sample; 2], Fault> {
    let mut ends = pairs(1)?;
    let stream = ends.client.pop().ok_or("a rally needs a connection")?;
    let driver = Rally { stream, messages };
    // Not looked at: a spinning server is always at work.
    let meter = Arc::new(Meter::new(u64::MAX, u64::MAX));
    let load = load::start(|| driver.run())?;
    let outcome = server.echo(ends.server, &meter);
    let played = load.finish();
    outcome?;
    let warm_up = messages / usize::try_from(MARGIN)?;
    Ok(Sample::middle_and_tail(&played?[warm_up..]))
}

/// As [`echo`] or [`feed`], with the load on the server's own thread, its time excluded.
///
/// # Errors
/// What the server fails with, or answers that are not what was asked for.
pub fn step(server: Server, work: Work, connections: usize, steps: u64) -> Result<Sample, Fault> {
    let ends = pairs(connections + 1)?;
    let stepper = Arc::new(Stepper::start(ends.client, work, steps)?);
    match work {
        Work::Echo => {
            server.echo(ends.server, &stepper)?;
            Ok(stepper.finish()?.0)
        }
        Work::Feed => {
            let found = server.feed(ends.server, &stepper)?;
            let (sample, sent) = stepper.finish()?;
            check(found, sent)?;
            Ok(sample)
        }
    }
}

fn check(found: Tally, sent: Tally) -> Result<(), Fault> {
    if found == sent {
        Ok(())
    } else {
        Err(format!("found {found:?} where {sent:?} was sent").into())
    }
}
