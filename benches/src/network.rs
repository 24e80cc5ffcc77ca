//! One run of one server under one load, its answers checked.

use std::sync::Arc;

use crate::Fault;
use crate::frames::Tally;
use crate::harness::Sample;
use crate::load::{self, ECHO_BYTES, EchoLoad, FeedLoad, Pace};
use crate::servers::Server;
use crate::sockets::pairs;
use crate::step::{Stepper, Work};
use crate::watch::Meter;

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
    };
    let load = load::start(|| driver.run())?;
    let found = server.feed(ends.server, &meter);
    let sent = load.finish();
    check(found?, sent?)?;
    meter.sample(1)
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
