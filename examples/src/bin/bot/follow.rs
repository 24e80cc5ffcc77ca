//! The handler: one fiber per connection, straight-line code, messages read where they arrived.
//!
//! This is the part that a trader would copy. Every call that waits suspends this fiber alone; the
//! core goes on with the others. Between a message and the book that it changes nothing is copied,
//! nothing is allocated, and nobody is asked.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use flux::Stopped;
use flux::net::{TcpStream, Wire};
use flux::time::Instant;
use flux::ws::{self, WebSocket, code};
use flux_examples::backoff::Backoff;
use flux_examples::stamp::Stamped;

use crate::broken::{Broken, within};
use crate::feed::{Client, Feed};
use crate::foreign;
use crate::snapshots::Snapshots;

/// How long leaving may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Follows a feed until it is finished or the fiber is cancelled: whatever breaks, it comes back.
#[flux::fiber(stack = "medium")]
pub(crate) fn follow(feed: Rc<Feed>) -> Result<(), Stopped> {
    let mut backoff = Backoff::new(feed.seed);
    loop {
        let ended = match feed.client {
            Client::Flux => session(&feed, &mut backoff),
            Client::Tungstenite => foreign::session(&feed, &mut backoff),
        };
        match ended {
            Ok(()) => {
                feed.on_finished();
                return Ok(());
            }
            // The end was wanted: the books stay as they are, for the report.
            Err(_) if feed.is_stopping() => return Ok(()),
            Err(why) => {
                let wait = backoff.wait();
                feed.on_lost(&why, wait);
                flux::time::sleep(wait)?;
            }
        }
    }
}

/// One connection, from the first byte to the close frame.
fn session(feed: &Rc<Feed>, backoff: &mut Backoff) -> Result<(), Broken> {
    feed.on_connecting();
    let (server, patience) = (&feed.endpoint.stream, feed.patience);
    // When bytes last came from the socket; what is done to them afterwards counts.
    let arrived = Cell::new(Instant::now());
    let stream = within(patience, "the connection", || {
        TcpStream::connect(server.address)
    })?;
    stream.set_nodelay(true)?;
    let wire = Stamped::new(stream.into_feed()?, Instant::now, &arrived);
    match &server.trust {
        None => talk(feed, backoff, upgrade(feed, wire)?, &arrived),
        Some(trust) => {
            let wire = within(patience, "the TLS handshake", || {
                trust.connector.connect(wire, &server.host)
            })?;
            talk(feed, backoff, upgrade(feed, wire)?, &arrived)
        }
    }
}

/// Makes a WebSocket of a connection, whatever that is made of.
fn upgrade<W: Wire>(feed: &Feed, wire: W) -> Result<WebSocket<W>, Broken> {
    let request = ws::Request::new(&*feed.endpoint.stream.authority, &*feed.endpoint.target);
    within(feed.patience, "the upgrade", || ws::connect(wire, request))
}

/// Messages in, books out. Pings are answered on the way, and don't count as a sign of life: a feed
/// can be dead behind a live connection.
fn talk<W: Wire>(
    feed: &Rc<Feed>,
    backoff: &mut Backoff,
    mut socket: WebSocket<W>,
    arrived: &Cell<Instant>,
) -> Result<(), Broken> {
    feed.on_connected();
    let mut snapshots = Snapshots::start(feed);
    loop {
        let message = match within(feed.patience, "data", || socket.read()) {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(why) => {
                if feed.is_stopping() {
                    say_goodbye(&mut socket);
                }
                return Err(why);
            }
        };
        feed.apply(message.as_bytes(), arrived.get())?;
        backoff.reset();
        snapshots.ask();
    }
    // Both sides have said goodbye. The embedded exchange does so when its market closes; a real one
    // never has a reason that is ours.
    let normal = socket.close_code() == Some(code::NORMAL);
    if !(feed.endpoint.finite && normal || feed.is_stopping()) {
        let reason = socket.close_reason().unwrap_or_default();
        return Err(Broken::Closed(reason.to_owned()));
    }
    snapshots.finish();
    Ok(())
}

/// We leave, and say so, also when this fiber was cancelled; the answer is not waited for.
fn say_goodbye<W: Wire>(socket: &mut WebSocket<W>) {
    let say = || flux::timeout(GOODBYE, || socket.close(code::AWAY, ""));
    // If it does not get through, the connection just ends.
    let _ = flux::shielded(say);
}
